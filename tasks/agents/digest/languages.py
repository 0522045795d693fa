"""Stop words of other languages than English, for the documents that are written in them."""

from collections.abc import Iterable
from itertools import islice

from holdfast.tasks.agents.digest.words import STOP_WORDS, word_set, words_of

_LOOKED_AT = 2_000
"""So many words tell a language."""
_LEAST_SHARE = 0.12
"""Of running text about every third word is one of these; less is a list of names, or code."""

_ENGLISH = word_set(
    """
    a about all also an and any are as at be been but by can could do does each for from had has
    have he if in into is it its may more most must no not of on one or other our over she should so
    some such than that the their them then there these they this those to two was we were when
    where which while who will with would you your
    """
)
_GERMAN = word_set(
    """
    aber alle allem allen aller alles als also am an andere anderen anderer anderes ans auch auf aus
    außer außerdem bald bei beide beiden beim bereits bis bleibt bringt bräuchte da dabei dadurch
    dafür dagegen daher damit danach dann darüber darum das dass davon dazu dein deine dem den denen
    denn der deren des deshalb dessen die dies diese diesem diesen dieser dieses doch dort durch
    dürfen ebenfalls ebenso eigentlich ein eine einem einen einer eines einfach einige einigen
    einmal er erst erste ersten es etwa etwas euch euer für ganz gar geben gegen gehen geht gemacht
    genau gerade gibt gut habe haben hat hatte hatten heute hier hinter ich ihm ihn ihnen ihr ihre
    ihrem ihren ihrer im immer in innerhalb ins ist ja jede jedem jeden jeder jedes jedoch jemand
    jetzt kann kein keine keinem keinen keiner kommen kommt konnte können könnte lassen lässt machen
    macht man manche mehr mehrere mein meine meist mit muss musste müssen nach nachdem nacheinander
    nicht nichts nie niemand noch nun nur ob oben obwohl oder oft ohne schon sehr sein seine seinem
    seinen seiner seit selbst sich sicher sie sind so sobald sogar solche soll sollen sollte sollten
    somit sondern sonst sowie stehen steht trotz um und uns unser unsere unter usw viel viele vielen
    vom von vor während wann war waren warum was wegen weil weiter weitere weiteren welche welcher
    welches wenig wenn wer werden wie wieder will wir wird wo wobei wollen worden wurde wurden wäre
    würde zu zum zur zwar zwei zwischen über
    """
)
_FRENCH = word_set(
    """
    afin ai ainsi alors après au aucun aucune aussi autre autres aux avait avant avec avoir beaucoup
    bien car ce ceci cela celle celles celui ces cet cette ceux chaque chez ci comme comment contre
    c'est dans de déjà depuis des deux devant doit doivent donc dont du d'abord d'un d'une elle
    elles en encore enfin entre est et étaient était été être eu eux faire fait faut fois font hors
    il ils je jusque la là le les leur leurs lors lorsque lui l'on l'un l'une ma mais malgré même
    mêmes me mes mieux moins mon ne ni non nos notre nous n'est on ont ou où par parce pas pendant
    peu peut peuvent plus plusieurs plutôt pour pourquoi pouvoir premier presque puis quand que quel
    quelle quelles quelque quelques quels qui quoi qu'il qu'elle qu'un qu'une sa sans se selon sera
    seront ses seulement si sinon soit son sont sous souvent sur s'il ta tandis te tel telle tels
    tes toi ton toujours tous tout toute toutes très trop tu un une va vers voici voilà vos votre
    vous y à
    """
)
_SPANISH = word_set(
    """
    aún además ahora al algo alguna algunas alguno algunos allí ambos ante antes aquel aquella aquí
    así aunque bajo bien cada casi como con contra cosa cual cuales cualquier cuando cuanto cómo da
    de debe deben del demás desde después donde dos durante dónde e el ella ellas ellos en entonces
    entre era eran es esa esas ese eso esos esta estaba estado estamos estar estas este esto estos
    está están fue fueron ha había hace hacen hacer hacia han hasta hay la las le les lo los luego
    más me mediante menos mi mientras mis misma mismas mismo mismos mucha muchas mucho muchos muy
    nada ni no nos nosotros nuestra nuestro nunca o otra otras otro otros para pero poco por porque
    primero puede pueden pues que quien quienes qué se sea sean ser será según si sido siempre sin
    sino sobre solamente solo son su sus sí sólo tal también tampoco tan tanto te tiene tienen toda
    todas todavía todo todos tras tu tus un una unas uno unos usted va vez y ya yo él éste
    """
)
_OTHERS = (_GERMAN, _FRENCH, _SPANISH)


def stop_words_for(texts: Iterable[str]) -> frozenset[str]:
    """Return the stop words of a document by its sentences: English ones, and those of its language."""
    words = list(islice((word for text in texts for word in words_of(text)), _LOOKED_AT))
    best = max(_OTHERS, key=lambda language: _hits(words, language))
    hits = _hits(words, best)
    if hits > _hits(words, _ENGLISH) and hits > _LEAST_SHARE * len(words):
        return STOP_WORDS | best
    return STOP_WORDS


def _hits(words: Iterable[str], language: frozenset[str]) -> int:
    return sum(word in language for word in words)
