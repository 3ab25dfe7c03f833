# The shops' hub: enrolled too, with a certificate that came by other means.
{ lib, ... }:
{
  imports = [ ../../../modules/hub.nix ];

  services.leafbox = {
    settings = {
      name = "hub-1";
      nats.leaf = "[::]:7422";
      nats.tls.leaf = {
        cert = "hub.crt";
        key = "hub.key";
      };
    };
    fleet = lib.importTOML ../../../examples/shop/fleet.toml;
    credentials = {
      "hub.crt" = "/run/secrets/hub.crt";
      "hub.key" = "/run/secrets/hub.key";
    };
    enroll.enable = true;
    openFirewall = true;
  };
}
