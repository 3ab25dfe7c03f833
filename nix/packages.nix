# What `nix build .#NAME` builds.
{ self, pkgs }:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) isLinux;

  leafbox = pkgs.callPackage ./leafbox.nix { };
  nats-server = pkgs.callPackage ./nats-server.nix { };

  # One build gives all programs; each daemon is also there under its own name.
  daemons = lib.genAttrs [ "leafbox-health" "leafbox-registry" "leafbox-sse-bridge" ] (
    name:
    pkgs.runCommand "${name}-${leafbox.version}"
      {
        meta = leafbox.meta // {
          mainProgram = name;
        };
      }
      ''
        mkdir -p $out/bin
        ln -s ${leafbox}/bin/${name} $out/bin/
      ''
  );

  images = import ./images.nix {
    inherit
      self
      pkgs
      leafbox
      nats-server
      ;
  };
in
{
  inherit leafbox nats-server;
  default = pkgs.callPackage ./dev.nix { inherit leafbox nats-server; };
}
// lib.optionalAttrs isLinux daemons
// lib.optionalAttrs isLinux images
