/* Under the prompt: what was read in it, as chips, and four ways to say more, each shown with what it adds before it is taken.
   Reading and enhancing are the API's; this asks, shows, and puts the prompt back into the form. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, api, attempt, places } = studio;
  const WAIT_MS = 300;
  const SHOWN = 12;
  const LONGEST = 28;
  const STRATEGIES = [
    ["detail", "Detail", "Time, light, colour, texture"],
    ["cinematic", "Cinematic", "Camera, light and film"],
    ["sound", "Sound", "What is heard, and when"],
    ["structure", "Shots", "A list of shots with times"],
  ];
  const field = () => document.querySelector("#field-prompt textarea");
  const clipped = (text) => (Array.from(text).length > LONGEST ? `${Array.from(text).slice(0, LONGEST).join("")}…` : text);

  /* Marks the characters that a chip stands for in the prompt; the API counts them as Python does. */
  function show({ text, start, end }) {
    const letters = Array.from(field().value);
    if (letters.slice(start, end).join("") !== text) return;
    const begin = letters.slice(0, start).join("").length;
    field().focus();
    field().setSelectionRange(begin, begin + text.length);
  }

  /* What the model has no word for is marked: it stays in the prompt, and nothing comes of it. */
  function chip(entity, pressed) {
    const unknown = (studio.unknownWords ?? []).some(({ start, end }) => start < entity.end && entity.start < end);
    const title = `${entity.kind}: ${entity.text}${unknown ? ", which this model does not know" : ""}`;
    return h(
      "button",
      { type: "button", class: "found", "data-kind": entity.kind, "data-unknown": unknown ? "" : null, title, onclick: (event) => (show(entity), pressed(entity, event.currentTarget)) },
      h("span", { class: "found-kind" }, entity.kind),
      h("span", {}, clipped(entity.text)),
    );
  }

  /* Who writes, where there is a choice: the rules, or the instruction model that the studio was given. Until somebody chooses,
     models that know certain words only are written for by the rules. */
  function authorsOf({ enhancer, bound = "" }) {
    let chosen = null;
    const current = () => (!enhancer ? "rules" : (chosen ?? (bound.split(" ").includes(studio.form.model) ? "rules" : "model")));
    const buttons = (enhancer ? [["rules", "Rules"], ["model", enhancer]] : []).map(([name, title]) =>
      h(
        "button",
        { type: "button", role: "menuitemradio", tabindex: "-1", "data-author": name, onclick: () => ((chosen = name), show()) },
        h("span", {}, title),
      ),
    );
    const show = () => buttons.forEach((button) => button.setAttribute("aria-checked", String(button.dataset.author === current())));
    return { buttons, current, show };
  }

  /* A button that unfolds the strategies: arrows move, Escape and a press elsewhere fold it. `foresee` says at once what each would
     change; those that have nothing to add here say so before they are pressed, and pressing them says why. */
  function menuOf(choose, foresee, authors, translator) {
    const offered = [...STRATEGIES, ...(translator ? [["translate", "Translate", `Into English, by ${translator}`]] : [])];
    const choices = offered.map(([name, title, what]) =>
      h(
        "button",
        { type: "button", role: "menuitem", tabindex: "-1", "data-what": what, onclick: () => (fold(), choose(name, title)) },
        h("b", {}, title),
        h("small", {}, what),
      ),
    );
    const say = (at, hasNone) => {
      choices[at].toggleAttribute("data-none", hasNone);
      choices[at].lastChild.textContent = hasNone ? "Nothing to add for this model" : choices[at].dataset.what;
    };
    const items = [...choices, ...authors.buttons];
    const who = authors.buttons.length
      ? h("div", { class: "enhance-by", role: "group", "aria-label": "Written by" }, h("small", {}, "Written by"), authors.buttons)
      : null;
    const list = h("div", { class: "enhance-list", role: "menu", "aria-label": "Enhance the prompt", hidden: true }, choices, who);
    const opener = h(
      "button",
      { type: "button", class: "enhance-open", "aria-haspopup": "menu", "aria-expanded": "false", onclick: () => (list.hidden ? unfold() : fold()) },
      "Enhance",
    );
    const unfold = () => {
      authors.show();
      STRATEGIES.forEach(([name], at) => foresee(name).then((hasMore) => say(at, !hasMore)));
      list.hidden = false;
      opener.setAttribute("aria-expanded", "true");
      items[0].focus();
    };
    const fold = () => {
      list.hidden = true;
      opener.setAttribute("aria-expanded", "false");
    };
    const whole = h("div", { class: "enhance" }, opener, list);
    whole.addEventListener("keydown", (event) => {
      const at = items.indexOf(document.activeElement);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
      if (event.key === "Escape" && !list.hidden) {
        fold();
        opener.focus();
      } else if (to !== undefined && !list.hidden) items.at(to % items.length).focus();
      else if (event.key === "ArrowDown") unfold();
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    whole.addEventListener("focusout", (event) => event.relatedTarget && !whole.contains(event.relatedTarget) && fold());
    document.addEventListener("pointerdown", (event) => whole.contains(event.target) || fold());
    return { whole, opener };
  }

  function mountPrompting(element, trigger, props) {
    const place = element.querySelector(".prompting");
    const found = h("div", { class: "found-list", role: "group", "aria-label": "What was read in the prompt" });
    const offer = h("div", { class: "offer", "aria-live": "polite", hidden: true });
    const undo = h("button", { type: "button", class: "enhance-undo", hidden: true, onclick: () => back() }, "Undo");
    const { enhancer, translator } = place.dataset;
    const authors = authorsOf(place.dataset);
    const menu = menuOf((name, title) => attempt(() => enhance(name, title)), (name) => hasMore(name), authors, translator);
    let wanted = 0; // the answer that is waited for; a closed offer waits for none
    let timer = 0;
    let asked = 0;
    let read = null;
    let reader = null;
    let used = []; // what "Use it" and chips put in, one upon the other, while the last of them stands
    const first = () => used.find(({ isEnhanced }) => isEnhanced)?.original ?? used[0]?.kept ?? "";

    const put = (chosen, original) => {
      props.value = { chosen, original };
      trigger("select");
      field().focus();
    };
    const close = () => {
      wanted += 1;
      offer.hidden = true;
      offer.replaceChildren();
    };
    /* A step back; what was written at first stays the original of all that came of it. */
    const back = () => {
      const { original, kept } = used.pop();
      undo.hidden = !used.length;
      put(original, first() || kept);
    };
    const take = ({ original, prompt }, isEnhanced = true) => {
      close();
      used.push({ original, prompt, isEnhanced, kept: used.length ? used[0].kept : (studio.form.original_prompt ?? "") });
      undo.hidden = false;
      put(prompt, first());
    };
    const piece = ({ change, text }) => (change === "kept" ? text : h(change === "added" ? "ins" : "del", {}, text));
    /* Models take their time: the offer says so meanwhile, and closing it forgets the answer. */
    const answered = async (title, who, path, json) => {
      close();
      const mine = wanted;
      if (who) {
        const leave = h("button", { type: "button", class: "button quiet", onclick: () => (close(), menu.opener.focus()) }, "Close");
        offer.replaceChildren(h("h4", {}, title), h("p", { class: "hint" }, `${who} is writing…`), h("div", { class: "offer-foot" }, leave));
        offer.hidden = false;
        leave.focus();
      }
      try {
        const answer = await api(path, { method: "POST", json });
        return mine === wanted ? answer : null;
      } catch (error) {
        if (mine !== wanted) return null;
        close();
        throw error;
      }
    };
    const wishOf = (strategy) => {
      const { model, duration } = studio.form;
      const keep = studio.triggerWords ?? [];
      return { prompt: field().value, strategy, model, duration_s: duration > 0 ? duration : null, keep, engine: authors.current() };
    };
    /* Whether a strategy would change anything; where a model writes or translates, that is known only when it has. */
    const hasMore = async (strategy) => {
      const wish = wishOf(strategy);
      if (wish.engine === "model" || translator) return true;
      const answer = await api("/prompts/enhance", { method: "POST", json: wish }).catch(() => null);
      return !answer || answer.prompt !== answer.original;
    };
    const enhance = async (strategy, title) => {
      const isTranslation = strategy === "translate";
      const wish = wishOf(strategy);
      const who = isTranslation ? translator : wish.engine === "model" ? enhancer : translator;
      const answer = isTranslation
        ? await answered(title, who, "/prompts/translate", { prompt: wish.prompt, keep: wish.keep })
        : await answered(title, who, "/prompts/enhance", wish);
      if (!answer) return;
      const by = isTranslation ? translator : answer.engine === "model" ? enhancer : null;
      const changed = answer.prompt !== answer.original;
      const use = h("button", { type: "button", class: "button primary", onclick: () => take(answer) }, "Use it");
      const leave = h("button", { type: "button", class: "button quiet", onclick: () => (close(), menu.opener.focus()) }, "Close");
      offer.replaceChildren(
        h("h4", {}, by ? `${title}, by ${by}` : title),
        ...(answer.note ? [h("p", { class: "hint" }, answer.note)] : []),
        ...(changed ? [h("p", { class: "offer-text" }, answer.difference.map(piece))] : []),
        h("div", { class: "offer-foot" }, changed ? use : null, leave),
      );
      offer.hidden = false;
      (changed ? use : leave).focus();
    };
    let entities = [];
    let intents = [];
    const swaps = studio.swapsOf({ prompt: () => field().value, put: (prompt) => take({ original: field().value, prompt }, false) });
    const draw = () => {
      const more = entities.length - SHOWN;
      found.replaceChildren(
        ...(intents.length ? [h("span", { class: "intents", title: "What the prompt asks for" }, intents.join(" · "))] : []),
        ...entities.slice(0, SHOWN).map((entity) => chip(entity, swaps.open)),
        ...(more > 0 ? [h("span", { class: "found-more" }, `and ${more} more`)] : []),
      );
    };
    const ask = async () => {
      const mine = (asked += 1);
      const prompt = field()?.value ?? "";
      // Times that contradict one another, and away servers, are told elsewhere.
      const answer = prompt.trim()
        ? await api("/prompts/analyse", { method: "POST", json: { prompt } }).catch(() => null)
        : null;
      if (mine !== asked) return;
      entities = answer?.entities ?? [];
      intents = answer?.intents ?? [];
      draw();
    };
    const look = () => {
      const prompt = field()?.value ?? "";
      menu.whole.hidden = !prompt.trim();
      if (reader !== studio.form?.model) swaps.close(); // another model knows other words
      reader = studio.form?.model;
      if (prompt === read) return;
      if (read !== null) {
        close();
        swaps.close();
      }
      read = prompt;
      if (used.length && prompt !== used.at(-1).prompt) {
        used = [];
        undo.hidden = true;
      }
      clearTimeout(timer);
      timer = setTimeout(ask, WAIT_MS);
    };
    place.replaceChildren(found, swaps.box, h("div", { class: "enhance-row" }, menu.whole, undo), offer);
    addEventListener("studio-form", look);
    addEventListener("studio-words", () => found.contains(document.activeElement) || draw());
    look();
  }

  places.prompting = mountPrompting;
})();
