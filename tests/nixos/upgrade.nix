# A new generation, and back: data stays, what can be reloaded is, and nobody waits longer than for a
# restart.
#
# Both generations have the same leafbox: this is the first release, and there is no older one.
{
  leafbox,
  nats-server,
  pkgs,
  ...
}:
let
  edge = import ./parts/edge-pi.nix { inherit leafbox nats-server pkgs; };
in
{
  name = "leafbox-upgrade";

  nodes.edge-pi = {
    imports = [ edge.node ];

    specialisation = {
      # A stream more, which apply makes, and a limit that nats-server reloads.
      reloaded.configuration.services.leafbox = {
        fleet.accounts.SHOP.streams.RETURNS = {
          subjects = [ "returns.>" ];
          max_bytes = "16MiB";
        };
        settings.nats.max_connections = 100;
      };
      # A listener moves, which only a restart does.
      restarted.configuration.services.leafbox.settings.nats.websocket = "127.0.0.1:9333";
    };
  };

  testScript =
    { nodes, ... }:
    let
      base = nodes.edge-pi.system.build.toplevel;
    in
    ''
      ${edge.steps}


      def switch(generation):
          """Switches as nixos-rebuild does."""
          edge_pi.succeed(f"${base}/{generation}bin/switch-to-configuration test")
          wait_ready(edge_pi)
          return edge_pi.get_unit_property("leafbox-nats.service", "MainPID")


      edge_pi.start()
      wait_ready(edge_pi)
      for article in range(20):
          sell(edge_pi, article)
      first = edge_pi.get_unit_property("leafbox-nats.service", "MainPID")

      with subtest("a change that nats-server reloads"):
          assert switch("specialisation/reloaded/") == first
          assert stored(edge_pi, "RETURNS") == 0
          edge_pi.succeed("curl --fail --silent 127.0.0.1:8222/varz | jq --exit-status '.max_connections == 100'")

      with subtest("a change that only a restart makes"):
          second = switch("specialisation/restarted/")
          assert second != first
          edge_pi.wait_for_open_port(9333)

      with subtest("and back"):
          assert switch("") != second
          assert stored(edge_pi) == 20, stored(edge_pi)
          # Apply deletes nothing.
          assert stored(edge_pi, "RETURNS") == 0
          assert sell(edge_pi, "last") == 21
    '';
}
