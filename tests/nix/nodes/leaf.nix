# A shop's box: enrolled on the spot, with the hub on the internet.
{ lib, ... }:
{
  imports = [ ../../../modules/leaf.nix ];

  services.leafbox = {
    settings = {
      name = "shop-1";
      uplink.urls = [ "tls://hub.example.net:7422" ];
    };
    fleet = lib.importTOML ../../../examples/shop/fleet.toml;
    enroll.enable = true;
  };
}
