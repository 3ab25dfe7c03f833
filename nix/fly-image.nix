# A container: `leafbox run` as a user without rights, nats-server, certificate authorities, and no
# shell but the one that `leafbox-fly` needs.
#
# Prints the image when it is run: `nix build .#fly-image && ./result | docker load`.
{
  lib,
  dockerTools,
  busybox,
  cacert,
  writeTextFile,
  leafbox,
  nats-server,
}:
let
  id = "65532";
  # leafbox asks for no user database; Fly's init does, and refuses to start without one.
  users = dockerTools.fakeNss.override {
    extraPasswdLines = [ "leafbox:x:${id}:${id}:leafbox:/data:/sbin/nologin" ];
    extraGroupLines = [ "leafbox:x:${id}:" ];
  };

  # Fly's documentation says neither who owns its `[[files]]` nor who may read them, and leafbox refuses
  # a secret that others can read: so they go into memory, for us alone.
  leafbox-fly = writeTextFile {
    name = "leafbox-fly";
    executable = true;
    destination = "/bin/leafbox-fly";
    text = ''
      #!${busybox}/bin/sh
      set -eu
      umask 077
      export CREDENTIALS_DIRECTORY=/dev/shm/leafbox
      ${busybox}/bin/rm -rf "$CREDENTIALS_DIRECTORY"
      ${busybox}/bin/mkdir "$CREDENTIALS_DIRECTORY"
      ${busybox}/bin/tar -x -f /etc/leafbox/keys.tar -C "$CREDENTIALS_DIRECTORY" || {
        echo "leafbox-fly: this machine's keys are missing: set its secret, as fly/README.md shows" >&2
        exit 2
      }
      exec ${leafbox}/bin/leafbox run "$@"
    '';
  };
in
dockerTools.streamLayeredImage {
  name = "leafbox";
  tag = leafbox.version;

  # The programs by short names, for `fly ssh console` and fly.toml; the rest comes as dependencies.
  contents = [
    leafbox
    leafbox-fly
    users
  ];
  # Anyone's, because the user may be another one than ours; a volume is mounted over it.
  extraCommands = "mkdir -m 1777 data";

  config = {
    Entrypoint = [
      "${leafbox}/bin/leafbox"
      "run"
    ];
    User = "${id}:${id}";
    Env = [
      "LEAFBOX_CONFIG=/etc/leafbox/node.toml"
      "LEAFBOX_NATS_SERVER=${nats-server}/bin/nats-server"
      "SSL_CERT_FILE=${cacert}/etc/ssl/certs/ca-bundle.crt"
    ];
    WorkingDir = "/data";
    StopSignal = "SIGTERM";
    Labels = {
      "org.opencontainers.image.title" = "leafbox";
      "org.opencontainers.image.description" = leafbox.meta.description;
      "org.opencontainers.image.version" = leafbox.version;
      "org.opencontainers.image.licenses" = leafbox.meta.license.spdxId;
    };
  };
}
