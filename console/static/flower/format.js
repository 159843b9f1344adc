/* Figures as people read them, elements, and questions to this Flower. Texts are set as text, never as HTML. */
"use strict";

const genfleet = {};

(function (g) {
  const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

  g.number = (value) => whole.format(value);
  g.short = (value) => (value < 10000 ? whole.format(value) : short.format(value));
  g.rate = (perMinute) => (perMinute < 10 && perMinute > 0 ? perMinute.toFixed(1) : whole.format(perMinute));
  g.percent = (share, digits = 0) => `${(100 * share).toFixed(digits)}%`;
  g.dollars = (usd) =>
    usd >= 1 || usd === 0
      ? "$" + usd.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })
      : "$" + usd.toFixed(4);

  g.span = (seconds) => {
    if (seconds < 90) return `${Math.round(seconds)} s`;
    const minutes = Math.round(seconds / 60);
    if (minutes < 90) return `${minutes} min`;
    const hours = Math.round(minutes / 60);
    return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
  };

  /** A time that is only known roughly, in one unit, as in the terminal: 45 s, 2.4 min, 35 min, 3.2 h. */
  g.about = (seconds) => {
    for (const [size, mark] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
      const figure = seconds / size;
      if (figure >= 1.5) return `${figure.toFixed(mark === "min" && figure >= 9.95 ? 0 : 1)} ${mark}`;
    }
    return `${Math.round(seconds)} s`;
  };

  /** A time left, and its range: 10 to 15 min, 50 s to 2.1 min, 10 min or more. */
  g.left = ([low, likely, high]) => {
    const [from, to] = [g.about(low), high === null ? null : g.about(high)];
    const unit = (said) => said.split(" ")[1];
    const range = to === null ? `${from} or more` : `${unit(from) === unit(to) ? from.split(" ")[0] : from} to ${to}`;
    return [`≈ ${g.about(likely)}`, range];
  };

  g.ago = (moment) => {
    const seconds = Math.max(0, (Date.now() - new Date(moment).getTime()) / 1000);
    return Number.isNaN(seconds) ? "" : seconds < 2 ? "just now" : `${g.span(seconds)} ago`;
  };

  /** How long ago a moment was; it goes on while it is shown. */
  g.since = (moment) => g.el("time", { datetime: moment }, g.ago(moment));
  g.age = () => {
    for (const one of document.querySelectorAll("time[datetime]")) g.text(one, g.ago(one.dateTime));
  };

  /** An element with classes, attributes and children; strings become text. */
  g.el = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value === false || value === null || value === undefined) continue;
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  };

  g.text = (element, value) => {
    if (element.textContent !== value) element.textContent = value;
  };

  g.get = async (url) => {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
    const read = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(read.error || `Flower answers ${answer.status}.`);
    return read;
  };

  g.post = async (url, body) => {
    const token = document.cookie.match(/(?:^|;)\s*_xsrf=([^;]+)/);
    const answer = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-XSRFToken": token ? token[1] : "" },
      body: JSON.stringify(body),
    });
    const read = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(read.error || `Flower answers ${answer.status}.`);
    return read;
  };

  /** Asks again and again while the page is seen, and says how it went beside the heading. */
  g.keepAsking = (ask, milliseconds) => {
    let timer = null;
    const round = async () => {
      clearTimeout(timer);
      if (document.hidden) return;
      try {
        await ask();
        g.age();
        g.isLive(true, `Live · ${new Date().toLocaleTimeString([], { hour12: false })}`);
      } catch (error) {
        g.isLive(false, `${error.message} Trying again.`);
      }
      timer = setTimeout(round, milliseconds);
    };
    document.addEventListener("visibilitychange", round);
    return round();
  };

  g.isLive = (live, said) => {
    const dot = document.getElementById("live-dot");
    dot.classList.toggle("status-dot-live", live);
    dot.classList.toggle("status-dot-error", !live);
    g.text(document.getElementById("live"), said);
  };
})(genfleet);
