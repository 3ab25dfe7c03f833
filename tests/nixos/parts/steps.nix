# Steps in Python that more than one test takes.
{ keys }:
''
  import json


  def wait_ready(machine):
      """Waits until leafbox itself says that all is well."""
      machine.wait_for_unit("leafbox-health.service")
      machine.wait_until_succeeds("leafbox health", timeout=180)


  def sell(machine, article):
      """Publishes an order as a till does, and returns what JetStream acknowledged."""
      creds = "${keys}/services/SHOP/till.creds"
      answer = machine.succeed(
          f"nats --server nats://127.0.0.1:4222 --creds {creds} request --raw orders.new {article}"
      )
      acknowledged = json.loads(answer)
      assert acknowledged.get("stream") == "ORDERS", answer
      return acknowledged["seq"]


  def stored(machine, stream="ORDERS"):
      """How many messages a stream holds on this machine, -1 where it is not."""
      answer = machine.succeed("curl --fail --silent '127.0.0.1:8222/jsz?accounts=true&streams=true'")
      for account in json.loads(answer).get("account_details", []):
          for detail in account.get("stream_detail", []):
              if detail["name"] == stream:
                  return detail["state"]["messages"]
      return -1


  def wait_stored(machine, wanted):
      """Waits until the orders on a machine are as many as wanted."""
      with machine.nested(f"waiting for {wanted} orders"):
          retry(lambda _: stored(machine) == wanted, 180)
''
