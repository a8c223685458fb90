"""A headless Chromium, driven over the DevTools protocol: messages of JSON, each ended by a zero byte, on two pipes."""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import time

from .daemon import TempDir
from .wait import PATIENCE

PROGRAMS = ("chromium-headless-shell", "chromium")


def program():
    """The browser, or None."""
    return next((p for p in map(shutil.which, PROGRAMS) if p), None)


class Browser:
    """One page. Keeps its requests, and everything that it writes to the console."""

    def __init__(self):
        self.dir = TempDir()
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # It reads from descriptor 3 and writes to 4.
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}', program(), "--headless", "--no-sandbox",
                   "--remote-debugging-pipe", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
                   "--disable-background-networking", "--force-color-profile=srgb", f"--user-data-dir={self.dir.path}"]
        self.process = subprocess.Popen(command, pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session = None
        self.requests = []
        self.complaints = []
        try:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._out)
        os.close(self._in)
        self.dir.remove()

    # --- the protocol ---

    def call(self, method, **parameters):
        """The result of a call; events that arrive before it are noted."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + 30 * PATIENCE
        while True:
            answer = self._receive(end)
            if answer is None:
                raise AssertionError(f"the browser does not respond to {method}")
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                return answer["result"]

    def _receive(self, end):
        """The next message; None at `end`."""
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._in], [], [], max(0.0, end - time.monotonic()))
            if not readable:
                return None
            data = os.read(self._in, 1 << 16)
            if not data:
                raise AssertionError("the browser has ended")
            self._buffer += data
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        self._note(message.get("method"), message.get("params"))
        return message

    def _note(self, event, about):
        if event == "Network.requestWillBeSent":
            self.requests.append((about["request"]["method"], about["request"]["url"], about["request"]["headers"]))
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(about["exceptionDetails"].get("exception", {}).get("description") or str(about))
        elif event == "Runtime.consoleAPICalled":
            self.complaints.append(f"console.{about['type']}: {about['args']}")
        elif event == "Log.entryAdded":
            self.complaints.append(f"{about['entry']['level']}: {about['entry']['text']} {about['entry'].get('url', '')}")

    # --- the page ---

    def open(self, url):
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'", f"{url} is loaded")

    def run(self, script):
        """The value of an expression in the page; promises are awaited."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait_for(self, condition, what, timeout=15.0):
        """Waits until an expression is true."""
        end = time.monotonic() + timeout * PATIENCE
        while not self.run(f"Boolean({condition})"):
            if time.monotonic() > end:
                raise AssertionError(f"not seen in the page: {what}; it has: {self.run('document.body.innerText')[:2000]}")
            self._receive(time.monotonic() + 0.05)

    def window(self, width, height, dark=False, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.call("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def scripts(self, enabled):
        self.call("Emulation.setScriptExecutionDisabled", value=not enabled)

    def screenshot(self, path, whole=False):
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        with open(path, "wb") as file:
            file.write(base64.b64decode(data))

    def accessible(self):
        """Role and name of everything that assistive programs see."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n.get("ignored")]
