"""Key phrases of documents that are not in English."""

import pytest

from holdfast.tasks.agents.digest import summarise
from holdfast.tasks.agents.digest.document import Kind
from holdfast.tasks.agents.digest.languages import stop_words_for
from holdfast.tasks.agents.digest.words import STOP_WORDS

TEXTS = {
    "German": """
        Der Hafen liegt an der Mündung und ist durch eine Mole geschützt. Die Lotsen kennen den
        Hafen und bringen die Schiffe durch die Einfahrt. Wenn der Sturm kommt, bleiben die Schiffe
        im Hafen und werden von den Lotsen nicht mehr geholt. Die Mole wurde nach dem Sturm neu
        gebaut, und der Hafen ist damit auch für große Schiffe sicher. Ohne die Mole wäre der Hafen
        bei jedem Sturm offen.
    """,
    "French": """
        Le port est protégé par une digue et les navires y entrent avec un pilote. Les pilotes
        connaissent l'entrée du port et ils guident les navires dans la tempête. Quand la tempête
        est trop forte, les navires restent au port. La digue a été construite après une tempête, et
        depuis les navires sont en sécurité dans le port. Sans la digue, l'entrée du port serait
        fermée.
    """,
    "Spanish": """
        El puerto está protegido por un dique y los barcos entran con un piloto. Los pilotos conocen
        la entrada del puerto y guían los barcos en la tormenta. Cuando la tormenta es muy fuerte,
        los barcos se quedan en el puerto. El dique fue construido después de una tormenta, y desde
        entonces los barcos están seguros en el puerto. Sin el dique, la entrada del puerto estaría
        cerrada.
    """,
}
NOUNS = {
    "German": {"hafen", "lotsen", "mole", "schiffe", "sturm"},
    "French": {"digue", "entrée", "navires", "pilote", "port", "tempête"},
    "Spanish": {"barcos", "dique", "entrada", "piloto", "puerto", "tormenta"},
}


@pytest.mark.parametrize("language", TEXTS)
def test_key_phrases_are_no_stop_words(language):
    """The nouns that the text is about are its phrases, and no word of grammar is in them."""
    text = TEXTS[language]
    phrases = summarise("a.txt", text.encode(), Kind.TEXT).phrases
    words = {word.lower() for phrase in phrases for word in phrase.split()}
    stop_words = stop_words_for([text])
    assert STOP_WORDS < stop_words
    assert len(words & NOUNS[language]) >= 3
    assert not words & stop_words


def test_english_and_lists_of_names_have_the_stop_words_of_english():
    """A text that is not clearly in another language is taken for English."""
    assert STOP_WORDS == stop_words_for(
        ["The worker takes one job from the queue and runs it for the client."]
    )
    assert STOP_WORDS == stop_words_for(
        ["Alpha beta gamma delta die epsilon zeta eta theta iota kappa lambda."]
    )
    assert STOP_WORDS == stop_words_for([])
