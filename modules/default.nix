# The NixOS module of leafbox: one node, declared as `services.leafbox`.
{
  imports = [
    ./assertions.nix
    ./credentials.nix
    ./enroll.nix
    ./files.nix
    ./firewall.nix
    ./options.nix
    ./units.nix
  ];
}
