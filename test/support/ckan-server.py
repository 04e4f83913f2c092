"""A real CKAN with one resource, for tests: python ckan-server.py FOLDER MAIN_URL STORE_URL REDIS_URL PORT ROWS.json

ROWS.json: {"fields": [{"id", "type"}], "records": [{…}]}. Prints {"resource": id} when it is about to serve; runs until it is
ended. Nothing of it searches for datasets, so it does without Solr: the dataset is put into the database by CKAN's own model,
and marked as one that has a table already, since CKAN would otherwise tell Solr.
"""

import json
import os
import sys
from urllib.parse import urlparse

import psycopg2
from werkzeug.serving import run_simple

folder, main_url, store_url, redis_url, port, rows = sys.argv[1:7]
store = urlparse(store_url)
read_url = f"postgresql://reader:reader@{store.hostname}:{store.port}{store.path}"
secret = "string:only-for-tests-and-long-enough-for-them"
settings = os.path.join(folder, "ckan.ini")
with open(settings, "w") as file:
    file.write(
        f"""[app:main]
use = egg:ckan
SECRET_KEY = only-for-tests
sqlalchemy.url = {main_url}
ckan.datastore.write_url = {store_url}
ckan.datastore.read_url = {read_url}
ckan.redis.url = {redis_url}
ckan.site_url = http://127.0.0.1:{port}
ckan.plugins = datastore
ckan.storage_path = {folder}
solr_url = http://127.0.0.1:9/solr/none
api_token.jwt.encode.secret = {secret}
api_token.jwt.decode.secret = {secret}
"""
    )


def allow_reading():
    """CKAN's own script for the rights of its two users, but for psql's commands in it."""
    from ckanext.datastore.cli import permissions_sql

    names = [urlparse(main_url).path[1:], store.path[1:], store.username, store.username, "reader"]
    script = "\n".join(line for line in permissions_sql(*names).splitlines() if not line.startswith("\\"))
    connection = psycopg2.connect(store_url)
    connection.autocommit = True
    connection.cursor().execute("create role reader login password 'reader'")
    connection.cursor().execute(script)
    connection.close()


allow_reading()

from ckan.cli import load_config  # noqa: E402
from ckan.config.middleware import make_app  # noqa: E402

app = make_app(load_config(settings))

from ckan import model  # noqa: E402
from ckan.plugins import toolkit  # noqa: E402

with app._wsgi_app.test_request_context():
    model.repo.init_db()
    dataset = model.Package(name="dataset")
    model.Session.add(dataset)
    model.Session.flush()
    resource = model.Resource(package_id=dataset.id, url="http://127.0.0.1/", url_type="datastore")
    resource.position = 0
    resource.extras = {"datastore_active": True}
    model.Session.add(resource)
    model.Session.commit()
    with open(rows) as file:
        table = {**json.load(file), "resource_id": resource.id, "force": True}
    toolkit.get_action("datastore_create")({"ignore_auth": True, "user": ""}, table)
    print(json.dumps({"resource": resource.id}), flush=True)

run_simple("127.0.0.1", int(port), app, threaded=True)
