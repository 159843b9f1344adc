/* The Jobs tab: asks every two seconds for what has changed, and shows it. */
"use strict";

(function (g) {
  const page = document.getElementById("jobs-page"), base = page.dataset.jobs;
  const parts = {}, cards = new Map();
  let cursor = "";

  const panel = (id, shown) => (document.getElementById(id).hidden = !shown);

  /** The cells of a row, each with its column's name, which a narrow window shows instead of the columns' heads. */
  function row(attributes, table, ...cells) {
    const heads = document.getElementById(table).parentElement.querySelectorAll("thead th");
    cells.forEach((cell, place) => place && !cell.hasAttribute("colspan") && cell.setAttribute("data-name", heads[place].textContent));
    return g.el("tr", attributes, ...cells);
  }

  function fleet(now) {
    const said = {
      running: g.number(now.running), rate: g.rate(now.per_minute), in_flight: g.number(now.in_flight),
      spent: g.dollars(now.spent_usd) + (now.per_day_usd === null ? "" : ` of ${g.dollars(now.per_day_usd)}`),
    };
    for (const [name, value] of Object.entries(said)) g.text(page.querySelector(`[data-fleet="${name}"]`), value);
    g.text(document.getElementById("workers-count"), now.workers === 1 ? "1 process" : `${g.number(now.workers)} processes`);
  }

  function showCards() {
    const list = document.getElementById("cards");
    for (const [job, card] of cards) {
      if (!parts.whole.includes(job)) {
        card.root.remove();
        cards.delete(job);
      }
    }
    parts.whole.forEach((job, place) => {
      if (!cards.has(job)) cards.set(job, new g.Card(base, job));
      const { root } = cards.get(job);
      if (list.children[place] !== root) list.insertBefore(root, list.children[place] || null);
    });
    if (!parts.order.length) list.replaceChildren(g.el("p", { class: "panel empty" }, "No job yet: ", g.el("code", {}, "genfleet submit RECIPE --count N")));
    else list.querySelector(".empty")?.remove();
  }

  function others() {
    const rest = parts.order.filter((job) => !parts.whole.includes(job)).map((job) => parts[`job ${job}`]);
    panel("others-panel", rest.length > 0);
    document.getElementById("others").replaceChildren(...rest.map((job) => {
      const state = g.el("span"), bar = g.el("div", { class: "job-progress", role: "progressbar", "aria-valuemin": 0 },
        ...["accepted", "rejected", "running"].map((name) => g.el("i", { class: `bar-${name}` })));
      g.badge(state, job.state);
      g.bar(bar, job);
      return row({ "data-job": job.job }, "others",
        g.el("td", {}, g.el("a", { href: `${base}/${encodeURIComponent(job.job)}` }, job.job), g.el("div", { class: "muted" }, job.model)),
        g.el("td", {}, state), g.el("td", { class: "wide" }, bar),
        ...[g.number(job.accepted), g.number(job.rejected), g.number(job.total), g.dollars(job.cost_usd)].map((said) => g.el("td", { class: "n" }, said)));
    }));
    const older = document.getElementById("older");
    older.hidden = !parts.older;
    g.text(older, `${g.number(parts.older)} older jobs: genfleet status lists them.`);
  }

  /** How much of a limit is used; a bar where there is one. */
  function gauge({ used, limit }) {
    if (!limit) return g.el("td", { class: "wide" }, g.number(used), g.el("div", { class: "muted" }, "no limit"));
    return g.el("td", { class: "wide" }, `${g.number(used)} of ${g.number(limit)}`, meter(used / limit));
  }

  const meter = (share) => {
    const fill = g.el("i", { class: "bar-share" });
    fill.style.width = `${Math.min(100, 100 * share)}%`;
    return g.el("div", { class: "job-progress thin" }, fill);
  };

  function models() {
    panel("models-panel", parts.models.length > 0);
    document.getElementById("models").replaceChildren(...parts.models.map((one) =>
      row({ "data-model": one.model }, "models",
        g.el("td", {}, one.model, one.share < 1 ? g.el("div", { class: "muted" }, `at ${g.percent(one.share)} of its limits after refusals`) : null),
        ...one.gauges.map(gauge),
        g.el("td", {}, one.binds ? g.binds(one.binds) : "nothing"), g.el("td", { class: "n" }, g.number(one.refused)))));
  }

  function workers() {
    const rows = parts.workers.map((one) =>
      one.heartbeat === null
        ? row({ "data-worker": one.worker, class: "is-silent" }, "workers", g.el("td", {}, one.host),
            g.el("td", {}, g.el("span", { class: "status-dot status-dot-error" }), " silent"), g.el("td", { colspan: 4, class: "muted" }, "its examples go back to the queue"))
        : row({ "data-worker": one.worker }, "workers",
            g.el("td", {}, one.host, one.process ? g.el("span", { class: "muted" }, ` ${one.process}`) : null),
            g.el("td", { class: "heartbeat" }, g.el("span", { class: "status-dot status-dot-live" }), ` ${one.heartbeat.toFixed(0)} s ago`),
            g.el("td", { class: "n" }, g.number(one.in_flight)),
            g.el("td", { class: "wide" }, g.percent(one.share), meter(one.share)),
            g.el("td", { class: "n" }, g.number(one.waiting)),
            g.el("td", {}, one.jobs.join(", ") || "—")));
    if (!rows.length) rows.push(g.el("tr", {}, g.el("td", { colspan: 6, class: "muted" }, "None: genfleet worker starts some.")));
    document.getElementById("workers").replaceChildren(...rows);
  }

  async function ask() {
    const answer = await g.get(`${base}/data?since=${cursor}`);
    cursor = answer.cursor;
    const changed = new Set(Object.keys(answer.parts));
    Object.assign(parts, answer.parts);
    if (changed.has("fleet")) fleet(parts.fleet);
    if (changed.has("order") || changed.has("whole")) showCards();
    for (const [job, card] of cards) if (changed.has(`job ${job}`) || !card.job) card.update(parts[`job ${job}`]);
    for (const card of cards.values()) card.askSeries();
    if ([...changed].some((name) => name === "order" || name === "whole" || name === "older" || (name.startsWith("job ") && !cards.has(name.slice(4))))) others();
    if (changed.has("models")) models();
    if (changed.has("workers")) workers();
    page.dataset.ready = "";
  }

  g.keepAsking(ask, 2000);
})(genfleet);
