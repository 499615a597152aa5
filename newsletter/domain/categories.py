"""The categories that papers are announced in (arxiv.org/category_taxonomy, 2026).

A rubric may name no other: a slip of the pen finds no paper, day after day, and looks like a quiet
field. arXiv adds a category every few years; then it is added here.
"""

from __future__ import annotations

from difflib import get_close_matches
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
OLD = {"astro-ph", "cond-mat"}
KNOWN = WHOLE | {f"{name}.{part}" for name, parts in DIVIDED.items() for part in parts.split()}


MOST_NEAR = 3


def is_known(name: str) -> bool:
    """Whether arXiv has it: a category, or an archive of which old papers bear the name alone."""
    return name in KNOWN or (name in DIVIDED and name in OLD)


def nearest(name: str) -> list[str]:
    """The categories that may have been meant, the likeliest first."""
    folded = {known.casefold(): known for known in sorted(KNOWN)}
    wanted = name.strip().casefold()
    if wanted in folded:
        return [folded[wanted]]
    subject = wanted.rpartition(".")[2]
    # cs.ML is stat.ML: a subject is often looked for in another archive.
    elsewhere = [folded[one] for one in folded if one.rpartition(".")[2] == subject]
    alike = [folded[one] for one in get_close_matches(wanted, folded, MOST_NEAR, 0.5)]
    return list(dict.fromkeys([*elsewhere, *alike]))[:MOST_NEAR]


def doubts(names: Iterable[str]) -> list[str]:
    """A sentence for each name that will find few papers."""
    wide = sorted(name for name in set(names) - KNOWN if name in DIVIDED)
    return [f"{name} alone finds few papers: most stand in {name}.XX" for name in wide]
