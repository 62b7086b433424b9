"""A logbook: whales are kept in PostgreSQL, ships in MariaDB; both are told as JSON or as XML.

The databases are named by POSTGRES_URL (postgresql://user@host:port/name) and MARIADB_URL (mysql://…).
"""

import json
import os
from urllib.parse import unquote, urlsplit

import MySQLdb
import psycopg2
from lxml import etree

SEEN = {
    "whales": [("minke", 8), ("humpback", 14), ("blue", 27)],
    "ships": [("Rainbow Warrior", 58), ("Esperanza", 72)],
}


def postgres():
    return psycopg2.connect(os.environ["POSTGRES_URL"])


def mariadb():
    url = urlsplit(os.environ["MARIADB_URL"])
    return MySQLdb.connect(
        host=url.hostname,
        port=url.port or 3306,
        user=unquote(url.username or ""),
        password=unquote(url.password or ""),
        database=url.path.strip("/"),
    )


KEPT_IN = {"whales": postgres, "ships": mariadb}


def entries(table):
    """What stands in a table, which is made and filled when it is first asked for."""
    connection = KEPT_IN[table]()
    try:
        cursor = connection.cursor()
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} (name VARCHAR(40) PRIMARY KEY, metres INTEGER)")
        cursor.execute(f"SELECT count(*) FROM {table}")
        if cursor.fetchone() == (0,):
            cursor.executemany(f"INSERT INTO {table} VALUES (%s, %s)", SEEN[table])
            connection.commit()
        cursor.execute(f"SELECT name, metres FROM {table} ORDER BY metres DESC")
        return cursor.fetchall()
    finally:
        connection.close()


def as_json(table, rows):
    return "application/json", json.dumps({table: [{"name": name, "metres": metres} for name, metres in rows]})


def as_xml(table, rows):
    root = etree.Element(table)
    for name, metres in rows:
        etree.SubElement(root, "entry", name=name, metres=str(metres))
    return "application/xml", etree.tostring(root, encoding="unicode")


TOLD_AS = {"json": as_json, "xml": as_xml}


def application(environ, start_response):
    """Answers /whales.json, /whales.xml, /ships.json and /ships.xml."""
    table, _, kind = environ["PATH_INFO"].strip("/").partition(".")
    if table not in KEPT_IN or kind not in TOLD_AS:
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"ask for /whales.json, /whales.xml, /ships.json or /ships.xml\n"]
    content_type, text = TOLD_AS[kind](table, entries(table))
    body = (text + "\n").encode()
    start_response("200 OK", [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]
