/* A job's page: its card, what people do to it, and its newest examples. */
"use strict";

(function (g) {
  const page = document.getElementById("job-page"), base = page.dataset.jobs, mayAct = "mayAct" in page.dataset;
  const card = new g.Card(base, page.dataset.job);
  const said = g.el("p", { class: "job-said", role: "status", "aria-live": "polite", hidden: true });
  const open = new Set(), lists = document.querySelectorAll(".example-list");
  let newest = "", asked = -Infinity, reads = false, waiting = null;

  document.getElementById("cards").append(card.root);
  card.root.querySelector(".job-head").after(said);

  async function act(action, body, button) {
    button.disabled = true;
    try {
      const answer = await g.post(`${card.base}/${action}`, body);
      tell(answer.said, false);
      await ask();
    } catch (error) {
      tell(error.message, true);
    }
    button.disabled = false;
  }

  function tell(sentence, failed) {
    said.hidden = false;
    said.classList.toggle("is-error", failed);
    g.text(said, sentence);
  }

  const button = (name, looks, press) => g.el("button", { type: "button", class: `btn btn-sm ${looks}`, "data-act": name.toLowerCase(), onclick: (event) => press(event.currentTarget) }, name);

  /** Asks once more on the button itself: what is cancelled has lost its place in the queue. */
  function sure(name, question, press) {
    const made = button(name, "btn-outline-danger", (pressed) => {
      if (pressed.dataset.sure) return press(pressed);
      pressed.dataset.sure = "yes";
      g.text(pressed, question);
      setTimeout(() => {
        delete pressed.dataset.sure;
        g.text(pressed, name);
      }, 4000);
      return null;
    });
    return made;
  }

  function buttons(job) {
    if (!mayAct) return;
    const place = card.root.querySelector("[data-actions]"), looks = `${job.state} ${job.rejected > 0} ${job.budget_usd}`;
    if (place.dataset.looks === looks) return;
    place.dataset.looks = looks;
    const made = [];
    if (job.state === "running") made.push(button("Pause", "btn-plain", (b) => act("pause", {}, b)));
    if (!["running", "complete"].includes(job.state)) {
      const budget = g.el("input", { type: "number", min: "0", step: "any", class: "form-control form-control-sm", "aria-label": "New budget in USD", placeholder: job.budget_usd ? `budget ${g.dollars(job.budget_usd)}` : "budget, USD" });
      made.push(budget, button("Resume", "btn-success", (b) => act("resume", { budget: budget.value }, b)));
    }
    if (job.rejected > 0) made.push(button("Retry", "btn-plain", (b) => act("retry", {}, b)));
    if (!["cancelled", "complete"].includes(job.state)) made.push(sure("Cancel", "Cancel it?", (b) => act("cancel", {}, b)));
    place.replaceChildren(...made);
    const retry = place.querySelector('[data-act="retry"]');
    if (retry) retry.textContent = "Retry all rejected";
  }

  function retryByCause(job) {
    for (const one of job.causes) {
      const item = card.causes.get(one.cause);
      if (!mayAct || !one.rejected || item.querySelector("button")) continue;
      item.append(button("Retry", "btn-plain", (b) => act("retry", { reason: one.reason }, b)));
    }
  }

  function entry(key, heads, ...inside) {
    return g.el("details", { class: "example-entry", open: open.has(key), ontoggle: (event) => open[event.currentTarget.open ? "add" : "delete"](key) },
      g.el("summary", {}, ...heads), ...inside);
  }

  function accepted(one, place) {
    const body = g.el("div", { class: "example-body", lang: "it" });
    body.innerHTML = one.html; // made and escaped by the server
    const chips = one.variables.map(([name, value]) => g.el("span", { class: "chip-variable" }, `${name}: ${value}`));
    const made = entry(`accepted ${one.name}`, [g.el("b", {}, one.name), g.el("span", { class: "muted" }, [one.recipe, ...one.facts].join(" · "), " · ", g.since(one.at))],
      chips.length ? g.el("p", { class: "chips" }, ...chips) : null, body);
    if (place < 3 && !reads) made.open = true;
    return made;
  }

  function showExamples(found) {
    const rejected = Object.entries(found.causes).filter(([cause]) => cause.startsWith("rejected:") && card.causes.has(cause));
    document.getElementById("rejected-panel").hidden = !rejected.length;
    document.getElementById("rejected").replaceChildren(...rejected.map(([cause, of]) =>
      entry(cause, [g.el("b", {}, found.classes[cause]), g.el("code", {}, cause.slice("rejected:".length)), g.el("span", { class: "muted" }, of[0].detail)], ...of.map(g.failed))));
    document.getElementById("accepted-panel").hidden = !found.accepted.length;
    document.getElementById("accepted").replaceChildren(...found.accepted.map(accepted));
    g.text(document.getElementById("accepted-count"), `${found.accepted.length} of ${g.number(card.job.accepted)}`);
  }

  /** What somebody reads is not moved away: newer examples then wait for a press. */
  function offer(found) {
    waiting = found;
    const more = document.getElementById("newer");
    more.hidden = false;
    more.onclick = () => {
      more.hidden = true;
      showExamples(waiting);
    };
  }

  async function askExamples() {
    if (performance.now() - asked < 4000) return;
    asked = performance.now();
    const found = await g.get(`${card.base}/examples?since=${encodeURIComponent(newest)}`);
    if (found.same || !found.newest) return;
    newest = found.newest;
    if (reads || [...lists].some((list) => list.matches(":hover"))) offer(found);
    else showExamples(found);
  }

  async function ask() {
    const now = await g.get(`${card.base}/now`);
    card.update(now.job);
    buttons(now.job);
    retryByCause(now.job);
    await askExamples();
    page.dataset.ready = "";
  }

  for (const list of lists) list.addEventListener("click", () => (reads = true));
  g.keepAsking(ask, 2000);
})(genfleet);
