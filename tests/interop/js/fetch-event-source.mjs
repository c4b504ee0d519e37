// Follows event streams with the npm package `@microsoft/fetch-event-source`, until their terminal events.

// It is a browser's: what it asks of one, besides fetch.
globalThis.window = globalThis;
globalThis.document = { removeEventListener() {} };

const { fetchEventSource } = await import("@microsoft/fetch-event-source");
const { Joined, main } = await import("./joining.mjs");

await main(async (url) => {
  const joined = new Joined();
  let seen;
  await fetchEventSource(url, {
    openWhenHidden: true,
    // It takes an id for seen once its line is there, be the event cut before its blank line: what was got is known here.
    fetch: (input, { headers, ...init }) => {
      delete headers["last-event-id"];
      return fetch(input, { ...init, headers: seen ? { ...headers, "last-event-id": seen } : headers });
    },
    onmessage({ id, data }) {
      joined.take(id, data);
      if (id) seen = id;
    },
    onclose() {
      if (!joined.end) throw new Error("a clean end that is none: come back");
    },
    onerror: () => 10,
  });
  return joined;
});
