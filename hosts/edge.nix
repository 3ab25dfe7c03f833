# What all leaves here share: the way to the hub, and that it may be missing.
{
  services.leafbox = {
    role = "leaf";
    settings.uplink.urls = [
      "tls://hub-1.example.net:7422"
      "tls://hub-2.example.net:7422"
      "tls://hub-3.example.net:7422"
    ];
  };
}
