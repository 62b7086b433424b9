"""The smallest web service worth the name."""

import os

from flask import Flask, jsonify

app = Flask(__name__)


@app.get("/")
def hello():
    return "Hello from minke!\n"


@app.get("/whoami")
def whoami():
    return jsonify(uid=os.getuid(), python=os.sys.version.split()[0])
