"""A page opened in headless Chromium, from the disk, with a script of the test's that looks at it."""

import html
import json
import re
import shutil
import subprocess

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="no Chromium here")

_BEFORE = """<script>
window.problems = [];
addEventListener("error", (event) => problems.push(String(event.message)));
console.error = console.warn = (...words) => problems.push(words.join(" "));
</script>"""
_AFTER = """<script>
addEventListener("load", () => setTimeout(async () => {
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = { thrown: String(error) }; }
  parent.postMessage(JSON.stringify({ found, problems }), "*");
}, 500));
</script>"""
# Chromium's own window is not narrower than 500 pixels.
_FRAME = """<!DOCTYPE html><meta charset="utf-8">
<iframe src="{}" style="width: {}px; height: 900px; border: 0"></iframe>
<pre id="found"></pre><script>
addEventListener("message", (event) => {{ document.querySelector("#found").textContent = event.data; }});
</script>"""


def start(tmp_path, *options):
    """Run Chromium to its end; what it prints."""
    command = [PROGRAM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run([*command, *map(str, options)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def look(page, tmp_path, script, width=1280, dark=False, change=lambda text: text):
    """What the body of a function in JavaScript returns on the page, and the errors and warnings of its console."""
    text = (
        change(page.read_text()).replace("<head>", "<head>" + _BEFORE).replace("</body>", _AFTER % script + "</body>")
    )
    copy = page.with_name("looked_at.html")
    copy.write_text(text)
    frame = page.with_name("frame.html")
    frame.write_text(_FRAME.format(copy.name, width))
    scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
    size = f"--window-size={width + 40},1000"
    out = start(tmp_path, size, *scheme, "--virtual-time-budget=20000", "--dump-dom", frame.as_uri())
    found = json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', out, re.DOTALL).group(1)))
    return found["found"], found["problems"]
