"""Debian's Chromium, driven over a pipe by the DevTools protocol: no driver, no extra package.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

FOUND = shutil.which("chromium")
AXE = Path(__file__).parents[1] / "render/gallery/email/node_modules/axe-core/axe.min.js"
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
]
# The browser reads file 3 and writes file 4.
LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4);"
    "os.execv(sys.argv[3], sys.argv[3:])"
)
PATIENCE = 300
"""Seconds for one answer of the browser: axe-core reads an issue of 400 papers for a minute where
others use the processor.
"""
KEYS = {
    "Backspace": 8,
    "Tab": 9,
    "Enter": 13,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""Keys by their name, with their Windows code."""
TEXTS = {"Enter": "\r"}
FOCUSED = """(() => {
  const e = document.activeElement, drawn = getComputedStyle(e).opacity !== "0";
  // A radio button of a scale is transparent: its label shows the focus.
  const seen = drawn ? e : e.labels[0], labels = [...(e.labels || [])];
  const style = getComputedStyle(seen), box = seen.getBoundingClientRect();
  const middle = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
  return {
    html: e.outerHTML.slice(0, 120),
    // Within a frame its own links show the focus.
    ring: e.matches("iframe")
      || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2),
    inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
    uncovered: !middle || seen.contains(middle) || middle.contains(seen)
      || box.height > innerHeight || labels.includes(middle),
  };
})()"""
"""Where the focus is, and whether that is to be seen."""
MOVED = """(() => {
  const e = document.activeElement, same = e === window.before;
  window.before = e;
  if (same || e === document.body) return "within";
  if (e.dataset.reached) return "around";
  e.dataset.reached = "yes";
  return "entered";
})()"""
"""How Tab moved the focus: a time field has hours and minutes within; the first link is the last's
next."""
UNREACHED = """[...document.querySelectorAll(
  "a[href], button, input:not([type=hidden], [type=radio]), select, textarea, summary, [tabindex]"
)].filter(e => !e.dataset.reached && !e.disabled && e.tabIndex >= 0 && e.checkVisibility())
  .map(e => e.outerHTML.slice(0, 120))"""
"""What can be used and had no focus. Of radio buttons one has it, for all of its name."""


class Tab:
    """One page. `errors` are what its console says in red, `hosts` whom it asked for anything."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        target = pipe.call("Target.createTarget", url="about:blank")["targetId"]
        attached = pipe.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._pipe.call(method, self._session, **params)

    def open(self, url: str) -> None:
        self._loaded(lambda: self._call("Page.navigate", url=url))

    def reload(self) -> None:
        self._loaded(lambda: self._call("Page.reload"))

    def back(self) -> None:
        """The browser's own Back; it may show the page as it was left, without loading it."""
        self.run("history.back()")

    def print_preview(self) -> None:
        self._call("Emulation.setEmulatedMedia", media="print")

    def press(self, selector: str) -> None:
        """Click, as a reader would, on what leads to another page."""
        found = f"document.querySelector({json.dumps(selector)})"
        self._loaded(lambda: self.run(f"{found}.click()"))

    def type(self, selector: str, text: str) -> None:
        self.run(f"document.querySelector({json.dumps(selector)}).value = {json.dumps(text)}")

    def attach(self, selector: str, file: Path) -> None:
        """Choose a file in a field of a form."""
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def choose(self, selector: str) -> None:
        """Click on a box of a form."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def keys(self, selector: str, *keys: str, loads: bool = False) -> None:
        """Focus an element and press KEYS, or type text. `loads`: the last key submits."""
        self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        for number, key in enumerate(keys, 1):
            if loads and number == len(keys):
                self._loaded(lambda name=key: self._key(name))  # type: ignore[misc]
            else:
                self._key(key)

    def tab_to(self, selector: str, most: int = 150) -> list[dict[str, Any]]:
        """Press Tab until an element has the focus; every stop on the way."""
        wanted = f"document.activeElement.matches({json.dumps(selector)})"
        stops = []
        for _ in range(most):
            self._key("Tab")
            stops.append(self.run(FOCUSED))
            if self.run(wanted):
                return stops
        raise AssertionError((f"Tab never reaches {selector}", [one["html"] for one in stops]))

    def tab_through(self, most: int = 300) -> tuple[list[dict[str, Any]], list[str]]:
        """Press Tab until the focus is back at the beginning: each stop, and what had no focus."""
        stops: list[dict[str, Any]] = []
        for _ in range(most):
            self._key("Tab")
            moved = self.run(MOVED)
            if moved == "around":
                return stops, self.run(UNREACHED)
            if moved == "entered":
                stops.append(self.run(FOCUSED))
        raise AssertionError(("Tab never comes around", [one["html"] for one in stops[-9:]]))

    def push(self, key: str, *, loads: bool = False) -> None:
        """Press a key, or type text, where the focus is."""
        if loads:
            self._loaded(lambda: self._key(key))
        else:
            self._key(key)

    def _key(self, key: str) -> None:
        if key not in KEYS:
            self._call("Input.insertText", text=key)
            return
        code = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": TEXTS[key]} if key in TEXTS else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", **code, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **code)

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        answer = self._call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    @property
    def words(self) -> str:
        return str(self.run("document.body.innerText.replace(/\\s+/g, ' ')"))

    @property
    def address(self) -> str:
        return str(self.run("location.pathname + location.search + location.hash"))

    def look(self, width: int, scheme: str = "light") -> None:
        """Be a phone or a desktop, in the light or in the dark."""
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", features=[feature])

    def picture(self, height: int = 0) -> bytes:
        """What is to be seen now, as PNG; with `height` the page's first so many pixels."""
        clip: dict[str, Any] = {}
        if height:
            width, whole = self.run("[innerWidth, document.documentElement.scrollHeight]")
            area = {"x": 0, "y": 0, "width": width, "height": min(height, whole), "scale": 1}
            clip = {"clip": area, "captureBeyondViewport": True}
        shot = self._call("Page.captureScreenshot", format="png", **clip)
        return base64.b64decode(shot["data"])

    @property
    def too_wide(self) -> int:
        """By how many pixels the page is wider than the window; 0 as it should be."""
        return int(self.run("document.documentElement.scrollWidth - window.innerWidth"))

    def barriers(self) -> list[str]:
        """What axe-core finds; https://github.com/dequelabs/axe-core."""
        self.run(AXE.read_text(encoding="utf-8") + "; true")
        found = self.run(
            "axe.run().then(r => r.violations.map("
            "v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120)).join(' ')))"
        )
        return [str(each) for each in found]

    def send_header(self, name: str, value: str) -> None:
        """Add a header to every request, as a proxy would."""
        self._call("Network.setExtraHTTPHeaders", headers={name: value})

    def press_twice(self, selector: str) -> None:
        """A double click: the second request follows before the answer to the first."""
        keep = f"window.pressed = document.querySelector({json.dumps(selector)})"
        # If the answer was faster, the next page has nothing to press.
        self._loaded(lambda: [self.run(f"({keep}).click()"), self.run("window.pressed?.click()")])

    def forbid_scripts(self) -> None:
        self._call("Emulation.setScriptExecutionDisabled", value=True)

    @property
    def errors(self) -> list[str]:
        found = []
        for event in self._pipe.events(self._session):
            params = event["params"]
            if event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(params["exceptionDetails"]))
        return found

    @property
    def hosts(self) -> set[str]:
        asked = [
            event["params"]["request"]["url"]
            for event in self._pipe.events(self._session)
            if event["method"] == "Network.requestWillBeSent"
        ]
        return {url.split("/")[2] for url in asked if url.startswith("http")}

    def _loaded(self, act: Any) -> None:
        before = self._pipe.count(self._session, "Page.loadEventFired")
        act()
        self._pipe.wait(self._session, "Page.loadEventFired", before + 1)


class Pipe:
    """Messages to and from the browser, each ended by a zero byte."""

    def __init__(self, to: int, back: int) -> None:
        self._to, self._back = to, back
        self._news = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._number = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        with self._news:
            self._number += 1
            number = self._number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        with self._news:
            assert self._news.wait_for(lambda: number in self._answers, PATIENCE), method
            answer = self._answers.pop(number)
        assert "error" not in answer, (method, answer.get("error"))
        return dict(answer["result"])

    def events(self, session: str) -> list[dict[str, Any]]:
        with self._news:
            return [event for event in self._events if event.get("sessionId") == session]

    def count(self, session: str, method: str) -> int:
        return sum(event["method"] == method for event in self.events(session))

    def wait(self, session: str, method: str, wanted: int) -> None:
        with self._news:
            done = self._news.wait_for(
                lambda: (
                    sum(
                        event["method"] == method and event.get("sessionId") == session
                        for event in self._events
                    )
                    >= wanted
                ),
                PATIENCE,
            )
        assert done, f"the browser never said {method}"

    def _listen(self) -> None:
        rest = b""
        while piece := os.read(self._back, 1 << 16):
            *whole, rest = (rest + piece).split(b"\0")
            for message in map(json.loads, whole):
                with self._news:
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self._events.append(message)
                    self._news.notify_all()


@contextmanager
def chromium(profile: Path) -> Iterator[Pipe]:
    """A browser with an empty profile; ended at the end, with all it started."""
    assert FOUND
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    numbers = (str(theirs_in), str(theirs_out))
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *numbers, FOUND, *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(theirs_in, theirs_out),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    pipe = Pipe(ours_out, ours_in)
    try:
        yield pipe
    finally:
        pipe.call("Browser.close")
        process.wait(20)
        os.close(ours_out)
