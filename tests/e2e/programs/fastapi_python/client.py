# SPDX-License-Identifier: Apache-2.0
"""A FastAPI server that asks a database by SQLAlchemy and itself by requests, all instrumented; OTLP/gRPC.

    client.py ENDPOINT

Of two orders one fails. Prints what it sent; the form is described in ../../spans.py.
"""

import json
import os
import socket
import sys
import threading
import time

import requests
import uvicorn
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sdk_python"))

from collect import Collect  # noqa: E402


def make_app(port, engine):
    app = FastAPI()

    @app.get("/orders/{order}")
    def orders(order: int):
        with engine.connect() as connection:
            item = connection.execute(text("SELECT item FROM orders WHERE id = :id"), {"id": order}).scalar_one()
        requests.get(f"http://127.0.0.1:{port}/stock/{item}", timeout=30).raise_for_status()
        return {"item": item}

    @app.get("/stock/{item}")
    def stock(item: str):
        if item == "missing":
            raise RuntimeError("no stock")
        return {"count": 3}

    FastAPIInstrumentor.instrument_app(app, exclude_spans=["receive", "send"])
    return app


def main():
    collect = Collect()
    provider = TracerProvider(resource=Resource.create({"service.name": "fastapi-shop"}), shutdown_on_exit=False)
    provider.add_span_processor(collect)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1], insecure=True)))
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE orders (id INTEGER, item TEXT)"))
        connection.execute(text("INSERT INTO orders VALUES (7, 'missing'), (8, 'book')"))
        connection.commit()
    trace.set_tracer_provider(provider)
    SQLAlchemyInstrumentor().instrument(engine=engine)
    RequestsInstrumentor().instrument()

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(port, engine), log_level="critical"))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    serving.start()
    try:
        while not server.started:
            time.sleep(0.01)
        for order, status in ((7, 500), (8, 200)):
            answer = requests.get(f"http://127.0.0.1:{port}/orders/{order}", timeout=30)
            if answer.status_code != status:
                sys.exit(f"order {order} is answered with {answer.status_code}: {answer.text}")
    finally:
        server.should_exit = True
        serving.join()
    if not provider.force_flush(30_000):
        sys.exit("the SDK could not send everything")
    provider.shutdown()
    print(json.dumps(collect.by_error()))


if __name__ == "__main__":
    main()
