// A device with passkeys that are found by themselves, as a phone or a laptop has them: Chromium's own
// virtual authenticator.

export class Device {
  #session;
  #id;

  // The device of a page, which answers by itself as if its user agreed.
  static async of(page) {
    const device = new Device();
    device.#session = await page.context().newCDPSession(page);
    await device.#session.send("WebAuthn.enable", { enableUI: false });
    const options = {
      protocol: "ctap2",
      transport: "internal",
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    };
    device.#id = (await device.#session.send("WebAuthn.addVirtualAuthenticator", { options })).authenticatorId;
    return device;
  }

  async credentials() {
    return (await this.#session.send("WebAuthn.getCredentials", { authenticatorId: this.#id })).credentials;
  }

  // Puts passkeys of a device of before on this one. They go on counting in `passkeys`, as they do on a
  // real device: who shows a lower count than before has a copy, and is not let in.
  async keep(passkeys) {
    for (const credential of passkeys) {
      await this.#session.send("WebAuthn.addCredential", { authenticatorId: this.#id, credential });
    }
    this.#session.on("WebAuthn.credentialAsserted", ({ credential }) => {
      const of = passkeys.findIndex(({ credentialId }) => credentialId === credential.credentialId);
      passkeys[of] = credential;
    });
  }

  // Whether the user agrees to what pages ask for.
  async agrees(enabled) {
    await this.#session.send("WebAuthn.setAutomaticPresenceSimulation", { authenticatorId: this.#id, enabled });
  }

  // Whether the device recognises who uses it.
  async recognises(isUserVerified) {
    await this.#session.send("WebAuthn.setUserVerified", { authenticatorId: this.#id, isUserVerified });
  }
}
