"""The report: complete, and not to be broken by what documents say."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from holdfast.tasks.agents.digest import assemble, build_report, scan_texts, summarise
from holdfast.tasks.agents.digest.document import DocumentDigest, Kind, NamedText, Skipped, SkipReason
from holdfast.tasks.agents.digest.escaping import code, escaped
from holdfast.tasks.agents.digest.themes import themes_of
from holdfast.tests.support import documents

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SIGNS = st.text(alphabet="ab1 \n\t`*_[]()<>#!|~\\&;:-+=.>{}$^@/\"'\u2028\u202e", max_size=60)
HARMLESS = {"text", "code_inline", "text_special"}


def report_of(texts, **options):
    """The report over documents in memory, all of them digested."""
    found = scan_texts(texts)
    by_name = dict(texts)
    digests = {
        unit.key: summarise(unit.path, by_name[unit.path].encode(), unit.kind)
        for unit in found.units()
        if unit.path not in options.get("without", ())
    }
    options.pop("without", None)
    made_at = datetime(2026, 11, 23, 12, tzinfo=UTC)
    return assemble(folder="docs", scan=found, digests=digests, made_at=made_at, seconds=1.5, **options)


A = NamedText(
    "a.md", "# Leases\n\nThe lease tells which worker may write.\n\nA late worker loses its lease for good.\n"
)
B = NamedText(
    "b.md", "# Workers\n\nThe worker renews each lease in time.\n\nEvery worker has one lease per job.\n"
)


def test_every_document_has_its_section_with_sources():
    """Title, path, quotes with their lines, phrases, rung and time stand in the report."""
    text = build_report(report_of([A, B]))
    assert "### 1. Leases" in text
    assert "> The lease tells which worker may write." in text
    assert "> `a.md:3`" in text
    assert "by the rung `extractive`: each quotation" in text
    assert re.search(r"^`a\.md`: 1\d words, read in .* ms \(rung `extractive`\)$", text, re.MULTILINE)
    assert "- made on 2026-11-23 at 12:00:00 UTC in 1.5 s" in text
    assert "Key phrases: " in text


def test_the_top_tells_what_is_in_the_folder(tmp_path):
    """Kinds, folders, themes and longest documents come first, then a link to every section, by folder."""
    names = ["a.md", "sub/b.md", "sub/c_d.rst", "sub/deep/e*f.txt", "`odd`.md"]
    text = build_report(report_of([NamedText(name, f"{A.text}\nAbout {name}.\n") for name in names]))
    assert "- 5 documents, " in text
    assert (
        ": 3 Markdown, 1 plain text, 1 reStructuredText; in 3 folders: `./` (2), `sub/` (2), `sub/deep/` (1)"
        in text
    )
    contents = text[text.index("## Contents") : text.index("## Documents")]
    assert ["- `./` (2):", "- `sub/` (2):", "- `sub/deep/` (1):"] == re.findall(
        r"^- .*?:", contents, re.MULTILINE
    )
    path = tmp_path / "report.md"
    path.write_text(text)
    anchors = documents.anchors(path)
    linked = re.findall(r"\(#([^)]*)\)", contents)
    assert len(names) == len(set(linked))
    assert set(re.findall(r"\(#([^)]*)\)", text)) <= anchors


def test_files_of_other_kinds_are_named():
    """Files that were not read stand in the report, up to a bound."""
    others = [NamedText(f"{number:02}.bin", "x") for number in range(52)]
    text = build_report(report_of([A, *others]))
    assert "52 files of other kinds" in text
    assert "Not read: `00.bin`, `01.bin`," in text
    assert text.endswith("`49.bin` and 2 more\n")
    assert "Files of other kinds" not in build_report(report_of([A]))


def test_markup_of_the_source_is_not_shown():
    """A sentence is quoted as its readers see it, and only what Markdown would misread is escaped."""
    marked = NamedText(
        "a.md", "It uses **agent jobs** and [Semantic Versioning](https://semver.org) for snake_case > all!\n"
    )
    assert "> It uses agent jobs and Semantic Versioning for snake_case > all!\n" in build_report(
        report_of([marked])
    )


def test_reuse_is_said():
    """What a former run had done is counted in the report."""
    line = "1 of 2 documents were already done and were not worked on again"
    assert line in build_report(report_of([A, B], reused=1))
    assert "already done" not in build_report(report_of([A, B]))


def test_copies_and_skipped_files_are_named():
    """A copy is named with its twin, a skipped file with its reason, a lost one as not done."""
    copy = NamedText("copy.md", A.text)
    refused = Skipped(path="b.md", reason=SkipReason.CHANGED, detail="10.5 | on *disk*")
    lost = NamedText("lost.md", "# Lost")
    report = report_of(
        [A, copy, B, NamedText("e.txt", ""), lost], without=("b.md", "lost.md"), refused=[refused]
    )
    text = build_report(report)
    assert "The same content stands in `copy.md`" in text
    assert "- `b.md` (changed): 10.5 \\| on \\*disk\\*" in text
    assert "- `e.txt` (empty): the file is empty" in text
    assert "- `lost.md` (not done): " in text
    assert 1 == text.count("### ")


def test_an_empty_folder_gives_a_whole_report():
    """No documents is a report too."""
    text = build_report(report_of([]))
    assert "0 documents" in text
    assert "None." in text


@given(SIGNS)
def test_escaped_text_is_one_plain_line(text):
    """Whatever a document says, it stays text within its quotation."""
    tokens = PARSER.parse(f"> {escaped(text)}\n>\n> end\n\n## after\n")
    kinds = [token.type for token in tokens]
    assert 1 == kinds.count("blockquote_open")
    assert 1 == kinds.count("heading_open")
    assert {"blockquote", "paragraph", "heading", "inline"} >= {kind.rsplit("_", 1)[0] for kind in kinds}
    for token in tokens:
        for child in token.children or ():
            assert child.type in HARMLESS, (text, child)


@given(SIGNS.filter(lambda text: bool(text.strip())))
def test_a_heading_stays_a_heading(text):
    """A title cannot become anything else, and nothing of it is lost as a closing sequence."""
    tokens = PARSER.parse(f"### {escaped(text)}\n")
    assert ["heading_open", "inline", "heading_close"] == [token.type for token in tokens]


@given(st.text(min_size=1, max_size=40))
def test_a_path_is_one_code_span(text):
    """A path with any signs in it is shown as code and as nothing else."""
    (_, inline, _) = PARSER.parse(f"x {code(text)} y")
    assert ["text", "code_inline", "text"] == [child.type for child in inline.children or ()]


def test_code_spans_in_a_sentence_are_kept():
    """A sentence with code reads as it did."""
    assert "Call `a*b*` and ``c`d`` but \\*not\\* \\`this." == escaped(
        "Call `a*b*` and ``c`d`` but *not* `this."
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_themes_join_documents_by_shared_terms(reverse):
    """Documents that share a telling term make a theme, in whatever order they come."""
    texts = [
        (
            "a.md",
            "The breaker opens for a sick upstream. A breaker closes slowly. The breaker counts faults.",
        ),
        ("b.md", "Each breaker guards one upstream. The breaker is fleet wide. A breaker has three states."),
        ("c.md", "The ledger holds every row. A ledger commit is durable. The ledger speaks SQL."),
        ("d.md", "Migrations change the ledger slowly. The ledger has tables. A ledger needs backups."),
    ]
    digests = [summarise(name, text.encode(), "markdown") for name, text in texts]
    themes = themes_of(digests[::-1] if reverse else digests)
    assert {"breaker": ("a.md", "b.md"), "ledger": ("c.md", "d.md")} == {
        theme.terms[0].lower(): theme.documents for theme in themes
    }


def test_a_theme_has_a_name_that_says_something():
    """A word that is general or stands alone is no theme; with a companion or in titles it is one."""

    def digest(path, title, *phrases):
        return DocumentDigest(
            path=path,
            sha256=path,
            kind=Kind.TEXT,
            title=title,
            words=9,
            sentences=(),
            phrases=phrases,
            seconds=0,
        )

    alone = [digest(f"{n}.txt", f"Volume {name}", "harbour") for n, name in enumerate(("one", "two", "six"))]
    assert () == themes_of([*alone, *(digest(f"x{n}.txt", "", "special", "written") for n in range(3))])
    titled = [digest(f"{n}.txt", f"Harbour {n}", "harbour") for n in range(3)]
    assert ["Harbour"] == [theme.title for theme in themes_of(titled)]
    paired = [digest(f"{n}.txt", "", "harbour", "harbour pilots" if n else "pilots") for n in range(3)]
    assert ["Harbour pilots"] == [theme.title for theme in themes_of(paired)]
