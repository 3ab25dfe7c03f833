# A node whose credentials were brought to /run/secrets, as sops-nix would.
{
  keys,
  # Where its own keys are, in `keys`.
  name,
  role,
  credentials ? [ ],
}:
{ lib, pkgs, ... }:
let
  own = [
    "jetstream.key"
    "health.creds"
    "registry.creds"
    "apply-LEAFBOX.creds"
    "apply-SHOP.creds"
    "console-LEAFBOX.creds"
    "console-SHOP.creds"
    "console-SYS.creds"
  ]
  ++ lib.optional (role == "hub") "sys.creds"
  ++ lib.optionals (role == "leaf") [
    "leaf-LEAFBOX.creds"
    "leaf-SHOP.creds"
    "leaf-SYS.creds"
  ];
  secret = folder: file: "C /run/secrets/${file} 0400 root root - ${folder}/${file}";
in
{
  networking.hostName = name;
  services.leafbox = {
    enable = true;
    inherit role;
    jwts = "${keys}/jwts";
    credentials = lib.genAttrs (own ++ credentials) (file: "/run/secrets/${file}");
  };
  systemd.tmpfiles.rules = [
    "d /run/secrets 0700 root root -"
  ]
  ++ map (secret "${keys}/${name}") own
  ++ map (secret "${keys}") credentials;

  environment.systemPackages = [
    pkgs.curl
    pkgs.jq
    pkgs.natscli
  ];
  # Room for what the fleet declares: an outbox of 512 MiB, and what is kept free.
  virtualisation.diskSize = 4096;
  services.leafbox.settings.jetstream.max_storage = "2GiB";
}
