"""The real servers that tests may start; each module beside this one holds one of them."""

from holdfast.tests.support.certificates import Certificates, make_certificates
from holdfast.tests.support.postgres import PostgresServer
from holdfast.tests.support.processes import Server, ServerFailed, free_port, require
from holdfast.tests.support.rabbitmq import RabbitMQServer
from holdfast.tests.support.redis import RedisServer, a_password

__all__ = [
    "Certificates",
    "PostgresServer",
    "RabbitMQServer",
    "RedisServer",
    "Server",
    "ServerFailed",
    "a_password",
    "free_port",
    "make_certificates",
    "require",
]
