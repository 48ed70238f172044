"""A stand-in for Google Cloud Storage: gcp-storage-emulator, and what it lacks of generations.

`python gcs_stand_in.py PORT` serves an empty bucket named `bucket` from memory. A real bucket tells an object's
generation when it is read, and refuses a write or a removal on the condition of another one; the emulator does neither.
"""

import logging
import sys
from http import HTTPStatus

from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.server import HANDLERS, create_server


def with_generations(handler):
    def handle(request, response, storage):
        name = request.params.get("object_id") or request.query.get("name", [""])[0]
        try:
            found = storage.get_file_obj(request.params.get("bucket_name"), name)["generation"]
        except NotFound:
            found = "0"
        wanted = request.query.get("ifGenerationMatch", [found])[0]
        if wanted != found:
            response.status = HTTPStatus.PRECONDITION_FAILED
            return
        response["x-goog-generation"] = found
        handler(request, response, storage)

    return handle


for _, methods in HANDLERS:
    for method, handler in methods.items():
        if handler.__module__.endswith("objects"):
            methods[method] = with_generations(handler)

if __name__ == "__main__":
    # Requests that the emulator does not know it answers as a server may, and says so in many lines.
    logging.disable()
    sys.exit(create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="bucket").run())
