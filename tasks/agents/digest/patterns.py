"""What sentences look like that tell a reader much, little or nothing.

Words and openings of English prose about software; matched against one
sentence of bounded length at a time.
"""

import re

from holdfast.tasks.agents.digest.words import word_set

ENDING = re.compile(r"(?<![.\u2026])[.!?][\"'\u2019\u201d\u00bb)\]}*_`]*")
"""The end of a sentence, without the dots of an ellipsis."""
TAIL = re.compile(r"[.!?\u2026]+[\"'\u2019\u201d\u00bb)\]}*_`]*$")
"""Everything from the last full stop on."""
UNSOUND = re.compile(
    r"</?[a-zA-Z!](?![\w.+-]*[:@])[^<>]*>(?![`\w])|\]\(\s|\[\s?\]|\[[ xX]\]|\|\w+\||\{[{%]|>>>|^\W*$|"
    r"\\[a-z]\b|\ufffd|[=~^*_-]{4,}|\s[.,;:!?)\]](?:\s|$)|[(\[]\s|"
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
"""What makes a sentence unreadable: torn markup, placeholders, control characters."""
STARTS = re.compile(r":[\w:]+:`|[\"'\u2018\u201c\u201e\u00ab\u00a1\u00bf(\[*_`:]*[A-Z0-9`\u00c0-\u00de]")
"""How a sentence begins."""
POINTER = re.compile(
    r"(?:please )?(?:see|cf|refer|consult|read|check|visit|click (?:here|on)|browse|have a look|"
    r"take a look|look|find out|for (?:more|further|full|complete|additional|an? |the |details|"
    r"information|examples?)|more (?:information|details)|(?:full |the )?documentation (?:is|can)|"
    r"details|note that|if you (?:find|have|want|like|need|are)|feel free|thanks|thank you|"
    r"special thanks|contributions|pull requests|bug|issues?|(?:source )?code is|the (?:source code|"
    r"latest (?:version|release))|here (?:is|are)|example|for instance|e\.g|i\.e|"
    r"this (?:is an? )?(?:example|section|page|file)|the following|below|above|in this (?:section|"
    r"example|document|chapter|page)|to (?:install|run|use|build|get started|do (?:this|so|that)))\b",
    re.IGNORECASE,
)
"""Openings that send the reader elsewhere or talk about the page."""
POINTING = re.compile(
    r"\b(?:below|above|as follows|following (?:example|code|command|snippet|table|list)|see (?:also|"
    r"the|also:)|(?:can be|is|are) (?:found|available|hosted|documented|described) (?:in|on|at|"
    r"here)\b|click here|next section|previous section|(?:the )?example (?:shows|code))\b|"
    r"\bsee [`\[:\"]|[\"'\]`*_)]? below\W*$",
    re.IGNORECASE,
)
"""The same within a sentence."""
LICENCE = re.compile(
    r"copyright|\u00a9|all rights reserved|licen[sc]ed? (?:under|to|by)|\b(?:mit|bsd|apache|gpl|lgpl|"
    r"mpl|psf)\b.{0,20}licen[sc]e|permission is hereby|warrant(?:y|ies)|without limitation|"
    r"redistribut|free software|liab(?:le|ility)|sublicen[sc]e|hereby|the terms of|released under|"
    r"(?:see|under) the license",
    re.IGNORECASE,
)
"""Words of licences."""
CHANGE = re.compile(
    r"(?:fix(?:e[sd])?|add(?:s|ed)?|remov(?:e|es|ed)|chang(?:e|es|ed)|updat(?:e|es|ed)|bump(?:s|ed)?|"
    r"improv(?:e|es|ed)|deprecat(?:e|es|ed)|drop(?:s|ped)?|renam(?:e|es|ed)|refactor(?:s|ed)?|"
    r"merge[sd]?|revert(?:s|ed)?|new in|changed in|bug ?fix(?:es)?|release[sd]?|"
    r"first (?:public )?release|initial (?:public )?release|patch by|version \d|since \d|\[?(?:#|gh-|"
    r"bpo-|issue ?#?)\d+)\b",
    re.IGNORECASE,
)
"""Openings of change entries."""
CHANGE_MARK = re.compile(
    r"#\d{2,}|\bgh-\d+|\bbpo-\d+|\bissue ?#?\d+|\bPR ?#?\d+|\bpatch by\b|\[ci skip\]",
    re.IGNORECASE,
)
"""Numbers of issues."""
ANAPHORA = re.compile(
    r"(?:it|they|he|she|this|these|those|that|such|however|but|and|or|also|so|then|thus|therefore|"
    r"hence|otherwise|moreover|furthermore|additionally|instead|similarly|likewise|both|again|finally|"
    r"lastly|first|second|third|next|now|here|there|in (?:this|that|such) (?:case|way)|in addition|"
    r"as (?:a result|such|mentioned|above|noted)|on the other hand|where|which|as (?:before|usual)|"
    r"in other words|for this reason|note|yes|no|well|of course|again)\b",
    re.IGNORECASE,
)
"""Openings that lean on the sentence before."""
TALK = re.compile(
    r"\b(?:you|your|yours|I|my|me|we|our|us|let's|I'm|I've|we're|we've)\b",
    re.IGNORECASE,
)
"""Words that address the reader."""
PROMOTION = re.compile(
    r"save time, reduce risk|raise money|questions and comments|"
    r"tidelift|open ?collective|patreon|sponsor|\bdonat|\bbackers?\b|code of conduct|pull requests?\b|"
    r"issue tracker|mailing list|\bdiscord\b|\bgitter\b|stack ?overflow|free trial|\bfollow us\b|"
    r"\bour (?:team|company|community)\b",
    re.IGNORECASE,
)
"""Asking for money or company."""
REPORTS = re.compile(
    r"(?:returns?|used|called|should|must|same as|like|internal|helper|gets?|sets?|raises?)\b",
    re.IGNORECASE,
)
"""Openings of docstrings that say what a call does, not what a thing is."""
DEFINES = re.compile(
    r"^(?:\S+ ){1,9}?(?:is|are) (?:an?|the|one)\b|^(?:\S+ ){1,6}?(?:provides|implements|defines|"
    r"allows|describes)\b"
)
"""A sentence that says what something is or does."""
OPEN_END = re.compile(
    r"(?:^|\W)(?:e\.?g|i\.?e|cf|vs|resp|approx)\.\W*$",
    re.IGNORECASE,
)
"""Abbreviations after which a sentence goes on."""
LINK_TARGET = re.compile(r"\]\([^)\s]*\)|\]\[[^\]]*\]|\s?<\w+:[^>\s]*>")
"""Where links lead."""
LABEL = re.compile(r"\W*[\w .()/`*'-]{1,40}?[`*]*(?::|\s[-\u2013\u2014]{1,2})\s")
"""A term and its explanation."""
TORN = re.compile(r"[a-z]- [a-z]")
"""A word hyphenated at the end of a line."""
TELLING_NOTHING = (POINTING, LICENCE, CHANGE_MARK, PROMOTION)
"""Slow to search, so first look for the `TRIGGERS` and `TRIGGER_SIGNS` that each of them needs."""
TRIGGERS = word_set(
    """
    save raise comments
    above available backer backers below bpo ci click collective community company conduct
    copyright described discord documented donate donation donations example follow following
    follows found free gh gitter hereby hosted issue issues liability liable licence licenced
    license licensed licenses licensing limitation mailing open opencollective patch patreon
    permission pr pull redistribute redistributed redistribution redistributions released rights
    section see sponsor sponsored sponsors sponsorship stack stackoverflow sublicence sublicense
    team terms tidelift trial warranties warranty
    """
)
TRIGGER_SIGNS = frozenset("#\u00a9")
OPENERS = "\"'([*_`:\u2018\u201c"
"""Signs that may stand before the first word."""
