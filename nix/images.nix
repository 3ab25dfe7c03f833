# The images. A machine is of one processor, and so is its image: each is there on that system alone.
# `fly-image` is for the system that builds it.
{
  self,
  pkgs,
  leafbox,
  nats-server,
}:
let
  inherit (pkgs) lib;
  inherit (pkgs.stdenv.hostPlatform) system;

  # The machine `name` as an image of one kind.
  image = name: variant: self.nixosConfigurations.${name}.config.system.build.images.${variant};
in
{
  fly-image = pkgs.callPackage ./fly-image.nix { inherit leafbox nats-server; };
}
// lib.optionalAttrs (system == "x86_64-linux") {
  vm-image = image "hub-vm" "qemu-efi";
  edge-image = image "edge-minipc" "raw-efi";
}
// lib.optionalAttrs (system == "aarch64-linux") {
  sd-image = image "edge-pi" "sd-card";
}
