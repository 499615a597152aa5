"""The categories that papers are announced in (arxiv.org/category_taxonomy, 2026).

A rubric may name others: arXiv adds one every few years. Who does is told to look again, because
a slip of the pen finds no paper, day after day, and looks like a quiet field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

DIVIDED = {
    "astro-ph": "CO EP GA HE IM SR",
    "cond-mat": "dis-nn mes-hall mtrl-sci other quant-gas soft stat-mech str-el supr-con",
    "cs": "AI AR CC CE CG CL CR CV CY DB DC DL DM DS ET FL GL GR GT HC IR IT LG LO MA MM MS NA NE "
    "NI OH OS PF PL RO SC SD SE SI SY",
    "econ": "EM GN TH",
    "eess": "AS IV SP SY",
    "math": "AC AG AP AT CA CO CT CV DG DS FA GM GN GR GT HO IT KT LO MG MP NA NT OA OC PR QA RA "
    "RT SG SP ST",
    "nlin": "AO CD CG PS SI",
    "physics": "acc-ph ao-ph app-ph atm-clus atom-ph bio-ph chem-ph class-ph comp-ph data-an ed-ph "
    "flu-dyn gen-ph geo-ph hist-ph ins-det med-ph optics plasm-ph pop-ph soc-ph space-ph",
    "q-bio": "BM CB GN MN NC OT PE QM SC TO",
    "q-fin": "CP EC GN MF PM PR RM ST TR",
    "stat": "AP CO ME ML OT TH",
}
"""Archives by their subjects. Asked for by themselves they match old papers at best."""
WHOLE = {
    "gr-qc",
    "hep-ex",
    "hep-lat",
    "hep-ph",
    "hep-th",
    "math-ph",
    "nucl-ex",
    "nucl-th",
    "quant-ph",
}
KNOWN = WHOLE | {f"{name}.{part}" for name, parts in DIVIDED.items() for part in parts.split()}


def doubts(names: Iterable[str]) -> list[str]:
    """A sentence for each name that will find few papers or none."""
    told = []
    for name in sorted(set(names) - KNOWN):
        if name in DIVIDED:
            told.append(f"{name} alone finds few papers: most stand in {name}.XX")
        else:
            told.append(f"{name} is no category of arXiv that we know: look at its spelling")
    return told
