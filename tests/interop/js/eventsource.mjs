// Follows event streams with the npm package `eventsource`: node eventsource.mjs URL…
//
// It never calls close(): each client must stop by itself, once the server answers 204 to the terminal id. Then one line of
// JSON: for each URL its text, the ids in order, how it ended, its errors, and the status that stopped it.

// A browser waits 3 s before it reconnects; the test has no need to.
const timeout = globalThis.setTimeout;
globalThis.setTimeout = (call, ms, ...rest) => timeout(call, Math.min(ms ?? 0, 10), ...rest);

const { EventSource } = await import("eventsource");

function follow(url) {
  return new Promise((resolve) => {
    const source = new EventSource(url);
    const seen = { text: "", ids: [], end: null, gaps: 0, errors: 0 };
    source.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "gap") seen.gaps += 1;
      if (event.type === "queued" || event.type === "gap") return;
      seen.ids.push(message.lastEventId);
      if (event.type === "stream_start" && event.keep_blocks === 0) seen.text = "";
      if (event.type === "snapshot") seen.text = event.text;
      if (event.type === "text") seen.text += event.text;
      if (event.type === "stream_end" || event.type === "error") seen.end = event;
    };
    source.onerror = (error) => {
      seen.errors += 1;
      if (source.readyState === EventSource.CLOSED) resolve({ ...seen, code: error.code ?? null });
    };
  });
}

// A client that waits to reconnect does not keep Node running.
const running = setInterval(() => {}, 1000);
console.log(JSON.stringify(await Promise.all(process.argv.slice(2).map(follow))));
clearInterval(running);
