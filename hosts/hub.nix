# What all hub nodes here share: leaves join over TLS, and nothing else is reachable from outside.
{
  services.leafbox = {
    role = "hub";
    openFirewall = true;
    settings.nats = {
      leaf = "[::]:7422";
      tls.leaf = {
        cert = "hub.crt";
        key = "hub.key";
      };
    };
  };
}
