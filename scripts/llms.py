"""Write llms.txt (llmstxt.org), for programs that read documents, from README and the book's index.

Only the standard library. `--check` compares; `--full FILE` writes the whole book into one file.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "llms.txt"
ALSO = (
    (
        "ARCHITECTURE.md",
        "Architecture",
        "one word, from a caller's mouth to the answer, and the files it passes",
    ),
    ("CONTRIBUTING.md", "Contributing", "rules, layers of tests"),
    ("agents/agent.schema.json", "Schema of agent files", "every field of an agent file"),
    ("agents/front-desk.yaml", "An agent file", "the example that runs out of the box"),
    ("agents/tools.py", "Its tools", "typed functions, with side effects and consent"),
)
_CHAPTER = re.compile(r"^\d+\. \[(?P<title>[^\]]+)\]\((?P<file>[\w-]+\.md)\): (?P<about>.+)$", re.MULTILINE)


def chapters() -> list[tuple[str, str, str]]:
    """Return the book's chapters: path, title, what is in them."""
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    return [(f"docs/{found['file']}", found["title"], found["about"]) for found in _CHAPTER.finditer(index)]


def short() -> str:
    """Return llms.txt."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    title, about = re.search(r"^# (.+?)\n\n(.+?)\n\n", readme, re.DOTALL).groups()  # type: ignore[union-attr]
    lines = [f"# {title}", "", f"> {' '.join(about.split())}", "", "## The book", ""]
    lines += [f"- [{title}]({path}): {about}" for path, title, about in chapters()]
    lines += ["", "## Beside it", ""]
    lines += [f"- [{title}]({path}): {about}" for path, title, about in ALSO]
    return "\n".join(lines) + "\n"


def full() -> str:
    """Return everything in one text, pictures left out."""
    parts = [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", *(c[0] for c in chapters()))]
    return re.sub(r"^!\[[^\]]*\]\([^)]*\)\n+", "", "\n".join(parts), flags=re.MULTILINE)


def main() -> int:
    """Write the file, or say that it is not what this would write."""
    given = sys.argv[1:]
    if given[:1] == ["--full"]:
        if len(given) != 2:
            sys.stderr.write(
                "--full needs the file to write, as in `python scripts/llms.py --full book.md`\n"
            )
            return 2
        Path(given[1]).write_text(full(), encoding="utf-8")
        return 0
    if given == ["--check"]:
        if FILE.is_file() and FILE.read_text(encoding="utf-8") == short():
            return 0
        sys.stderr.write("llms.txt is not what the documents say; run `python scripts/llms.py`\n")
        return 1
    FILE.write_text(short(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
