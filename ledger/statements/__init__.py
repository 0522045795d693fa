"""One pure function per verb: it returns a statement, and the verb's module runs it.

Functions keep what they built, as building a statement costs more than running
it; so what differs from call to call is a parameter of the statement, mostly
one batch of rows (`holdfast.ledger.batch`).
"""
