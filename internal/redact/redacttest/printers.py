"""Print each secret of a JSON list on stdin by many libraries.

Each text stands between two marks, so that the test can name what printed it.
"""

import asyncio
import base64
import email.message
import email.mime.text
import email.policy
import html
import http.client
import json
import logging
import pprint
import shlex
import sys
import textwrap
import threading
import traceback
import urllib.parse
import urllib.request
from email.header import Header
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import aiohttp
import boto3
import httpx
import loguru
import psycopg
import requests
import rich.console
import rich.table
import rich.traceback
import sqlalchemy
import structlog
import urllib3
import yaml
import yarl

logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(levelname)s %(name)s %(message)s")
loguru.logger.remove()
loguru.logger.add(sys.stdout, diagnose=True, backtrace=True, colorize=False)
loguru.logger.add(sys.stdout, serialize=True)


class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT = do_GET

    def log_message(self, format, *args):
        print(self.requestline, dict(self.headers))


address = ""


def serve():
    """Start the server that the libraries ask. A service must not do so when it is imported."""
    global address
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"


def printed(function):
    cases.append(function)
    return function


cases = []
quote = urllib.parse.quote


@printed
def httpx_url(secret):
    httpx.get(
        f"http://user:{quote(secret, safe='')}@{address}/",
        params={"token": secret},
        headers={"X-Seen": "1"},
    )


@printed
def httpx_json(secret):
    response = httpx.post(
        f"http://{address}/",
        json={"body": json.dumps({"t": secret})},
        auth=("user", secret.encode()),
    )
    print(response.request.headers.raw, response.request.content)
    response.raise_for_status()


@printed
def httpx_invalid(secret):
    httpx.get(f"http://user:{secret}@{address}:port/")


@printed
def aiohttp_get(secret):
    async def get():
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{address}/", params={"token": secret}, raise_for_status=True),
        ):
            pass

    asyncio.run(get())


@printed
def yarl_url(secret):
    url = yarl.URL.build(
        scheme="https",
        user="user",
        password=secret,
        host="host.example",
        query={"q": secret},
        fragment=secret,
    )
    print(url, repr(url / quote(secret, safe="")))


@printed
def requests_get(secret):
    session = requests.Session()
    session.auth = ("user", secret.encode())
    response = session.get(f"http://{address}/path", params={"token": secret})
    print(response.request.headers, response.url)
    response.raise_for_status()


@printed
def requests_form(secret):
    prepared = requests.Request(
        "POST",
        f"http://{address}/",
        data={"password": secret},
        files={"f": ("n", secret)},
    ).prepare()
    print(prepared.body)
    print(requests.Request("POST", f"http://{address}/", json={"password": secret}).prepare().body)
    requests.get(f"http://127.0.0.1:1/{quote(secret)}")


@printed
def urllib3_get(secret):
    pool = urllib3.PoolManager(retries=1)
    print(urllib3.make_headers(basic_auth="user:" + secret, proxy_basic_auth="u:" + secret))
    pool.request("GET", f"http://127.0.0.1:1/?token={quote(secret)}", fields={"a": secret})


@printed
def botocore_sign(secret):
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{address}",
        region_name="eu-central-1",
        aws_access_key_id="key",
        aws_secret_access_key=secret,
        aws_session_token=secret.replace("\n", ""),
    )
    print(client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": secret}))
    client.put_object(Bucket="bucket", Key="key", Body=b"", Metadata={"token": quote(secret)})


@printed
def sqlalchemy_url(secret):
    url = sqlalchemy.URL.create("postgresql+psycopg", "user", secret, "127.0.0.1", 1, "db")
    print(url.render_as_string(hide_password=False), url)
    engine = sqlalchemy.create_engine("sqlite://", echo=True)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select :token, nothing"), {"token": secret})


@printed
def psycopg_connect(secret):
    print(psycopg.conninfo.make_conninfo(host="127.0.0.1", port=1, password=secret))
    psycopg.connect(f"host=127.0.0.1 port=1 user=u passwort={psycopg.conninfo.make_conninfo(password=secret)}")


@printed
def rich_print(secret):
    console = rich.console.Console(width=72, file=sys.stdout)
    console.print({"token": secret, "list": [secret, 1]})
    console.print(rich.panel.Panel(secret) if hasattr(rich, "panel") else secret)
    table = rich.table.Table("name", "value")
    table.add_row("token", rich.text.Text(secret, overflow="fold"))
    console.print(table)
    console.log("logged", secret)


@printed
def rich_traceback(secret):
    console = rich.console.Console(width=90, file=sys.stdout)
    try:
        raise ValueError("bad token " + secret)
    except ValueError:
        console.print_exception(show_locals=True)


@printed
def loguru_exception(secret):
    try:
        raise ValueError("bad token", {"token": secret})
    except ValueError:
        loguru.logger.exception("failed with {}", secret)


@printed
def structlog_event(secret):
    for renderer in (
        structlog.dev.ConsoleRenderer(colors=False),
        structlog.processors.JSONRenderer(),
        structlog.processors.LogfmtRenderer(bool_as_flag=False),
        structlog.processors.KeyValueRenderer(),
    ):
        logger = structlog.wrap_logger(structlog.PrintLogger(sys.stdout), processors=[renderer])
        try:
            logger.info("event", token=secret, nested=json.dumps({"t": secret}))
        except ValueError as e:
            print(e)


@printed
def structlog_traceback(secret):
    # rich colors the traceback also where nothing is a terminal.
    logger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stdout), processors=[structlog.dev.ConsoleRenderer(colors=False)]
    )
    try:
        raise ValueError("bad token " + secret)
    except ValueError:
        logger.error("failed", exc_info=True)


@printed
def charsets(secret):
    request = urllib.request.Request(f"http://{address}/", headers={"X-Token": secret.replace("\n", " ").encode()})
    try:
        urllib.request.urlopen(request)
    except OSError as e:
        print(e)
    for charset in "utf-16", "utf-16-le", "utf-16-be":
        wide = secret.encode(charset)
        print(wide, wide.hex(), base64.b64encode(wide).decode(), sep="\n")


@printed
def email_message(secret):
    for policy in (email.policy.default, email.policy.SMTP, email.policy.compat32):
        message = (
            email.message.EmailMessage(policy=policy)
            if policy is not email.policy.compat32
            else email.mime.text.MIMEText("pass: " + secret + "\n" * 2, "plain", "utf-8")
        )
        if policy is not email.policy.compat32:
            message.set_content("The password is:\n" + secret + "\nKeep it.\n")
        print(message.as_string())
        print(message.as_bytes())
    print(Header("token " + secret.replace("\n", " "), "utf-8").encode())
    print(Header("token " + secret.replace("\n", " "), "iso-8859-1").encode())
    attachment = email.message.EmailMessage()
    attachment.add_attachment(secret.encode(), maintype="application", subtype="octet-stream", filename="key")
    print(attachment.as_string())


@printed
def yaml_dump(secret):
    print(yaml.safe_dump({"token": secret, "deep": [{"t": secret}]}))
    print(yaml.safe_dump({"token": secret}, allow_unicode=True, width=40, default_style='"'))
    print(yaml.dump({"bytes": secret.encode()}))
    yaml.safe_load(json.dumps(secret, ensure_ascii=False) + ": {")


@printed
def standard_library(secret):
    print(repr({"t": secret}), ascii(secret), secret.encode(), [secret])
    print(json.dumps({"body": json.dumps({"t": secret})}))
    pprint.pprint({"token": secret, "text": "some words " + secret}, width=60)
    print(textwrap.fill("The token is " + secret, 50))
    print(base64.encodebytes(b"user-of-the-service:" + secret.encode()).decode())
    print(
        urllib.parse.urlencode({"body": json.dumps({"t": secret})}),
        html.escape(secret),
        shlex.quote(secret),
    )
    print(secret.encode().hex(":"), secret.encode().hex())
    connection = http.client.HTTPConnection(address)
    connection.set_debuglevel(1)
    connection.request(
        "POST",
        "/?t=" + quote(secret),
        body=json.dumps({"t": secret}),
        headers={"Authorization": "Basic " + base64.b64encode(("u:" + secret).encode()).decode()},
    )
    connection.getresponse()
    raise RuntimeError({"token": secret})


def print_all(name, secret):
    """Have each library print a secret, each behind a line with its name."""
    for case in cases:
        print(f"\n@@@ {case.__name__} {name}", flush=True)
        try:
            case(secret)
        except Exception:
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
    print("\n@@@ end of all", flush=True)


if __name__ == "__main__":
    serve()
    for name, secret in json.load(sys.stdin):
        print_all(name, secret)
