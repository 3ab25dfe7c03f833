// What happens on the servers, as it happens.

import { connect } from "node:net";

const heading = (name) => (page) => page.getByRole("heading", { level: 1, name }).waitFor();

export const pages = [
  { name: "connections", path: "/connections", ready: (page) => page.locator("#connections tbody th").first().waitFor(), unscripted: /LEAFBOX.*connected/s },
  { name: "events", path: "/events", ready: heading("Events"), unscripted: /Kinds/ },
];

export const checks = {
  "somebody who is refused at nats-server is seen at once": async (visit) => {
    const page = await visit.open("/events");
    await heading("Events")(page);
    const [host, port] = visit.site.node.addresses.client.split(":");
    const socket = connect(Number(port), host);
    socket.on("error", () => {});
    socket.write('CONNECT {"verbose":false,"name":"a-stranger","user":"nobody","pass":"wrong"}\r\nPING\r\n');
    await page.getByText("a-stranger").first().waitFor();
    socket.destroy();
  },
};
