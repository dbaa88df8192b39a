// Where a job is seen from: the server of this page, or what is in the page itself.

const asQuery = (ask) => new URLSearchParams(Object.entries(ask).filter(([, value]) => value !== null && value !== undefined && value !== "")).toString();

async function get(path, options) {
  const answer = await fetch(path, options);
  if (!answer.ok) throw new Error((await answer.text()).trim() || `${answer.status}`);
  return answer.json();
}

/** Events of the server, by name; gives what ends them. */
function listen(path, on) {
  const events = new EventSource(path);
  for (const [name, take] of Object.entries(on)) {
    if (name === "failed" || name === "lost" || name === "connected") continue;
    events.addEventListener(name, (event) => {
      // The server has said all, and would be asked again.
      if (name === "over" || name === "refused" || name === "trouble") events.close();
      take(JSON.parse(event.data));
    });
  }
  events.addEventListener("open", () => on.connected?.());
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) on.failed?.("the server does not answer this");
    else on.lost?.();
  });
  return () => events.close();
}

class Server {
  jobs() { return get("/api/jobs"); }

  of(job) {
    const at = `/api/jobs/${encodeURIComponent(job)}`;
    const ask = { method: "POST", headers: { "x-lastline": "1" } };
    return {
      live: (on) => listen(`${at}/live`, on),
      lines: (what) => get(`${at}/lines?${asQuery(what)}`),
      around: (what) => get(`${at}/around?${asQuery(what)}`),
      search: (what, on) => listen(`${at}/search?${asQuery(what)}`, on),
      flush: () => get(`${at}/flush`, ask),
      stop: () => get(`${at}/stop`, ask),
    };
  }
}

/** A finished job that stands in the page. */
class Embedded {
  constructor(data) { this.data = data; }

  of() {
    const { data } = this;
    return {
      live: (on) => {
        on.snapshot({ snapshot: data.snapshot, activity: data.activity, now: data.snapshot.ended?.time });
        on.entries(data.entries);
        on.over({});
        return () => {};
      },
      lines: null,
      search: null,
      around: async ({ seconds }) => {
        const found = data.around.find((around) => around.seconds === seconds);
        if (!found) throw new Error("this page does not have it");
        return found;
      },
    };
  }
}
