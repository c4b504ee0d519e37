"""A generation that real processes make carries its labels from the submit to its end."""

from tests.harness.client import Client

MODEL = "sim-1?tps=0&ttft_ms=0&tokens=3"


def test_labels_are_in_the_stream_and_lists_find_the_generation_by_them_in_every_state(
    client: Client, other_client: Client
) -> None:
    labels = {"user": "ada", "test": "labels"}
    generation = client.submit(MODEL, labels=labels, external_id="order-7")
    first, *_, last = [frame for frame in client.events(generation.id) if frame.id]
    assert (first.data["labels"], first.data["external_id"]) == (labels, "order-7")
    assert last.data["status"] == "completed"
    for query in ({"label.test": "labels"}, {"external_id": "order-7", "state": "completed"}):
        (found,) = other_client.http.get("/v1/generations", params=query).json()["data"]
        assert (found["id"], found["labels"], found["external_id"]) == (generation.id, labels, "order-7")
    assert (
        other_client.http.get("/v1/generations", params={"label.test": "labels", "state": "running"}).json()["data"]
        == []
    )
