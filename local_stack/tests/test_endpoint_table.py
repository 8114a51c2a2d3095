"""The README's table of endpoints says what the server answers."""

from local_stack.tests import endpoint_table


def test_the_table_is_that_of_the_present_server(api):
    text = endpoint_table.README.read_text()
    found = text.split(endpoint_table.BEGIN)[1].split(endpoint_table.END)[0]
    assert found == endpoint_table.table(api), "it is stale: run python -m local_stack.tests.endpoint_table"
