/**
 * The page that fills in forms with Enketo, as KoboToolbox's web forms do. tests/engines/enketo.py calls `window.silah`.
 */
import { Form } from 'enketo-core';
import { transform } from 'enketo-transformer/web';
import $ from 'jquery';

import { Walk } from './walk.mjs';

let form;

/** Loads a form: `xform` is its text, `media` the text of each CSV it attaches. Returns what Enketo has to say against it. */
async function load(xform, media) {
  if (!('XSLTProcessor' in window)) throw new Error('This browser has no XSLT any more; Enketo cannot transform forms in it.');
  const names = Object.fromEntries(Object.keys(media).map((name) => [name, name]));
  const survey = await transform({ xform, media: names, markdown: true });
  document.querySelector('#host').innerHTML = survey.form;
  const external = Object.entries(media).map(([name, csv]) => ({ id: name.replace(/\.\w+$/, ''), xml: items(csv) }));
  const element = document.querySelector('form.or');
  element.classList.remove('pages'); // all pages one under the other, so that a picture shows them
  form = new Form(element, { modelStr: survey.model, external, session: {} }, {});
  return form.init();
}

/** *language* is the name in the form, `العربية (ar)`; Enketo's menu has the code in it. */
async function speak(language) {
  const menu = document.querySelector('#form-languages');
  menu.value = /\((\w+)\)$/.exec(language)[1];
  if (menu.value === '') throw new Error(`no such language: ${language}`);
  menu.dispatchEvent(new Event('change', { bubbles: true }));
  await settled();
}

/** Enketo takes an attached CSV as a document of items. */
function items(csv) {
  const [header, ...rows] = csv.split(/\r?\n/).filter(Boolean).map(cells);
  const xml = document.implementation.createDocument(null, 'root');
  for (const row of rows) {
    const item = xml.documentElement.appendChild(xml.createElement('item'));
    header.forEach((name, column) => { item.appendChild(xml.createElement(name)).textContent = row[column] ?? ''; });
  }
  return xml;
}

function cells(line) {
  return [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map((found) => (found[1] ?? found[2]).replaceAll('""', '"'));
}

/** Enketo answers a change in promises and timers of no length. */
function settled() {
  return new Promise((resolve) => { setTimeout(resolve, 0); });
}

const nameOf = (path) => path.split('/').at(-1);
const CONTROLS = 'input:not(.ignore), select:not(.ignore), textarea:not(.ignore)';

/** What Walk asks of a question: the element around its controls. */
class Question {
  constructor(element) {
    this.element = element;
    this.control = element.querySelector(CONTROLS);
    this.name = nameOf(form.input.getName(this.control));
  }

  get kind() { return this.#boxes.length > 0 || this.control.matches('select') ? 'select' : 'input'; }
  get readonly() { return this.control.readOnly && !this.control.dataset.typeXml?.match(/binary/); }
  get required() { return Boolean(this.element.querySelector('.required:not(.hide)')); }
  get label() { return text(this.element.querySelector('.question-label.active')); }
  get hint() { return text(this.element.querySelector('.or-hint.active')); }

  get choices() {
    if (this.control.matches('select')) {
      return [...this.control.options].filter((one) => one.value && !one.matches('.itemset-template')).map((one) => [one.value, text(one)]);
    }
    return this.#boxes.map((box) => [box.value, text(box.closest('label').querySelector('.option-label.active'))]);
  }

  get held() { return [form.input.getVal(this.control)].flat().join(' '); }

  set held(value) {
    form.input.setVal(this.control, value); // tells the widget around the control
    this.control.dispatchEvent(new Event('change', { bubbles: true })); // tells the form, as a person's change does
  }

  get empty() { return this.held === ''; }

  async answer(value) {
    if (this.control.type === 'file') this.#attach(value);
    else this.held = [value ?? ''].flat().join(' ');
    await settled();
  }

  async violation() {
    const { requiredValid, constraintValid } = await form.validateInput(this.control) ?? {};
    if (requiredValid === false) return { condition: 'required', message: text(this.element.querySelector('.or-required-msg.active')) };
    if (constraintValid === false) return { condition: 'constraint', message: text(this.element.querySelector('.or-constraint-msg.active')) };
    return null;
  }

  get #boxes() {
    return [...this.element.querySelectorAll('.option-wrapper input[type=radio], .option-wrapper input[type=checkbox]')]
      .filter((box) => !box.closest('.itemset-template') && box.value);
  }

  #attach(name) {
    const held = new DataTransfer();
    held.items.add(new File(['.'], name, { type: 'image/jpeg' }));
    this.control.files = held.files;
    this.control.dispatchEvent(new Event('change', { bubbles: true }));
  }
}

function text(element) {
  return element?.innerText.trim() ?? '';
}

const isRepeat = (node) => node.matches('.or-group') && node.querySelector(':scope > .or-repeat-info') !== null;

/** The form as Walk sees it. A repeat is the group around its entries. */
const shape = {
  kind(node) {
    if (node.matches('.question')) return 'question';
    return isRepeat(node) ? 'repeat' : 'group';
  },
  name: (node) => (node.matches('.question') ? new Question(node).name : nameOf(node.getAttribute('name'))),
  relevant: (node) => !node.matches('.disabled'),
  children: (node) => [...node.querySelectorAll(':scope > .question, :scope > .or-group, :scope > .or-group-data')],
  entries: (node) => [...node.querySelectorAll(':scope > .or-repeat')],
  counted: (node) => Boolean(node.querySelector(':scope > .or-repeat-info').dataset.repeatCount),
  async add(node) {
    node.querySelector(':scope > .or-repeat-info .add-repeat-btn').click();
    await settled();
  },
  async remove(node) {
    form.repeats.remove($(node.querySelector(':scope > .or-repeat')));
    await settled();
  },
  question: (node) => new Question(node),
};

/** Fills in the form that was loaded. Its picture can be taken afterwards. */
async function fill(answers) {
  const walk = new Walk(shape, answers);
  await walk.go(form.view.html);
  if (walk.stoppedAt === null && !(await form.validate())) {
    const wrong = form.view.html.querySelector('.invalid-required, .invalid-constraint, .invalid-relevant');
    throw new Error(`not valid: ${wrong.querySelector(CONTROLS).name}`);
  }
  return { visits: walk.visits, unreached: walk.unreached(), stopped_at: walk.stoppedAt, record: form.getDataStr({ irrelevant: false }) };
}

window.silah = { load, speak, fill };
