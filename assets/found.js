/* Below the models: what lies in another program's model folder, and what can be done with it. For the studio's owner. */
(() => {
  "use strict";
  const studio = window.studio;
  const { h, button, api, attempt, toast } = studio;
  const STORE = "studio.model-folder";

  const recalled = () => {
    try {
      return localStorage.getItem(STORE) ?? "";
    } catch {
      return ""; // private windows keep nothing
    }
  };
  const remember = (folder) => {
    try {
      localStorage.setItem(STORE, folder);
    } catch {
      /* as above */
    }
  };
  const split = (path) => {
    const at = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
    return [path.slice(at + 1), path.slice(0, Math.max(at, 0))];
  };

  /* `size` writes bytes as the cards above do. */
  function foundFolder(size) {
    const folder = h("input", { type: "text", maxlength: "4096", placeholder: "~/ComfyUI/models", "aria-label": "A folder of models", value: recalled() });
    const list = h("div", { class: "found-models" });
    const note = h("p", { class: "hint", role: "status" });

    const copied = async (line) => {
      await navigator.clipboard.writeText(line);
      toast("Copied.");
    };
    const keep = (each, act) =>
      attempt(async () => {
        const kept = await api("/loras/found", { method: "POST", json: { path: each.path } });
        act.disabled = true;
        act.textContent = "Kept";
        toast(`“${kept.name}” is kept: it is among the styles.`);
      });
    /* A LoRA is taken at a press; a transformer or a folder is a setting of the studio's next start. */
    const deed = (each) => {
      if (each.kind === "LoRA" && each.models.length) {
        const act = button("Keep it", null, () => keep(each, act), { text: true, class: "button small", "aria-label": `Keep ${split(each.path)[0]}` });
        return act;
      }
      if (!each.use.startsWith("STUDIO_MODELS=")) return h("p", { class: "hint" }, each.use);
      const copy = button("Copy", null, () => attempt(() => copied(each.use)), { text: true, class: "button small", "aria-label": `Copy the setting for ${split(each.path)[0]}` });
      return h("div", { class: "found-setting" }, h("span", {}, "Start the studio with"), h("code", {}, each.use), copy);
    };
    const row = (each) => {
      const [name, home] = split(each.path);
      const what = [each.kind, each.family, size(each.size_bytes)].filter(Boolean).join(" · ");
      return h(
        "div",
        { class: "found-model", "data-kind": each.kind },
        h("div", { class: "found-what" }, h("b", {}, name), h("small", {}, home), h("small", {}, what + (each.models.length ? ` · fits ${each.models.join(", ")}` : ""))),
        deed(each),
      );
    };
    const look = () =>
      attempt(async () => {
        const wanted = folder.value.trim();
        note.textContent = "Looking …";
        list.replaceChildren();
        try {
          const told = await api(`/models/found${wanted ? `?folder=${encodeURIComponent(wanted)}` : ""}`);
          remember(wanted);
          const count = told.found.length;
          note.textContent = `${count ? `${count} ${count === 1 ? "thing" : "things"} with weights` : "No weights"} in ${told.folders.join(", ")}. Nothing was changed.`;
          list.replaceChildren(...told.found.map(row));
        } catch (error) {
          note.textContent = "";
          throw error;
        }
      });
    return h(
      "section",
      { class: "found-folder", "aria-labelledby": "found-title" },
      h("h2", { id: "found-title" }, "Models of other programs"),
      h("p", { class: "hint" }, "A folder of ComfyUI, Wan2GP, InvokeAI or any other on this machine. Only headers are read."),
      h("form", { onsubmit: (event) => (event.preventDefault(), look()) }, folder, h("button", { type: "submit", class: "button" }, "Look")),
      note,
      list,
    );
  }

  studio.foundFolder = foundFolder;
})();
