// A table as HTML has them: caption, header cells with scope, text that is only ever text.
// A cell is {text, lead?, unit?, href?, bar?, mark?, muted?}: `bar` is a share from 0 to 1; what is wide shows where there is room.
export default {
  props: ["caption", "columns", "rows", "empty"],
  template: `
    <div class="cs-scroll" role="region" :aria-label="caption" tabindex="0">
      <table class="cs-table">
        <caption class="cs-hidden">{{ caption }}</caption>
        <thead>
          <tr>
            <th v-for="column in columns" scope="col" :class="classes(column)" :aria-sort="column.sorted ? 'descending' : undefined">
              <a v-if="column.href" :href="column.href">{{ column.label }}<span v-if="column.sorted" aria-hidden="true"> ↓</span></a>
              <template v-else>{{ column.label }}<span v-if="column.sorted" aria-hidden="true"> ↓</span></template>
            </th>
          </tr>
        </thead>
        <tbody>
          <tr v-for="(row, number) in rows" :key="number">
            <component v-for="(cell, place) in row" :key="place" :is="columns[place].head ? 'th' : 'td'"
              :scope="columns[place].head ? 'row' : undefined" :class="[classes(columns[place]), cell.muted ? 'cs-muted' : '']">
              <span v-if="cell.mark" :class="'cs-mark cs-' + cell.mark" aria-hidden="true">{{ cell.mark === 'good' ? '✓' : cell.mark === 'bad' ? '✕' : '!' }}</span>
              <a v-if="cell.href" :href="cell.href"><span v-if="cell.lead" class="cs-wide">{{ cell.lead }}</span>{{ cell.text }}</a><span v-else>{{ cell.text }}</span>
              <span v-if="cell.unit" class="cs-unit">{{ cell.unit }}</span>
              <span v-if="cell.bar !== undefined" class="cs-bar" aria-hidden="true"><span :style="{ width: 100 * cell.bar + '%' }"></span></span>
            </component>
          </tr>
          <tr v-if="!rows.length"><td :colspan="columns.length" class="cs-empty">{{ empty || 'Nothing found.' }}</td></tr>
        </tbody>
      </table>
    </div>`,
  methods: {
    classes(column) {
      return [column.number ? "cs-number" : "", column.wide ? "cs-wide" : "", column.long ? "cs-long" : "", column.name ? "cs-name" : ""];
    },
  },
};
