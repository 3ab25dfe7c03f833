# nats-server keeps nixpkgs' own name free: an overlay that replaced it would change machines that
# run another NATS beside leafbox.
final: _: {
  leafbox = final.callPackage ./leafbox.nix { };
  leafbox-nats-server = final.callPackage ./nats-server.nix { };
}
