// The theme follows the system until someone chooses; the choice stays in this browser.
export default {
  template: `<button type="button" class="cs-button cs-theme" @click="next" :aria-label="'Theme: ' + theme + '. Change it'">
      <span aria-hidden="true">{{ { auto: '◐', light: '☀', dark: '☾' }[theme] }}</span> <span class="cs-wide">{{ theme }}</span></button>`,
  data: () => ({ theme: localStorage.getItem("costspan-theme") || "auto" }),
  methods: {
    next() {
      this.theme = { auto: "light", light: "dark", dark: "auto" }[this.theme] || "auto";
      localStorage.setItem("costspan-theme", this.theme);
      document.documentElement.dataset.theme = this.theme;
    },
  },
};
