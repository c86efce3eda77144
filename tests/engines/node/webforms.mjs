/**
 * Fills in forms with the engine of ODK Web Forms, the way tests/engines/javarosa.py does with JavaRosa.
 *
 * One JSON object a line comes in: { xform, media, language, answers }, `xform` and the values of `media` being paths of
 * files. One JSON object a line goes out: { visits, unreached, stopped_at, record }, or { error }.
 */
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';

import { JSDOM } from 'jsdom';

import { Walk } from './walk.mjs';

const DOM_NAMES = [
  'Attr', 'CDATASection', 'CharacterData', 'Comment', 'DOMParser', 'Document', 'DocumentFragment', 'Element',
  'HTMLElement', 'NamedNodeMap', 'Node', 'NodeFilter', 'ProcessingInstruction', 'Text', 'TreeWalker', 'XMLDocument',
  'XMLSerializer', 'XPathEvaluator', 'XPathExpression', 'XPathResult', 'document',
];

/** The engine expects a browser's DOM. Node's own File, FormData and Blob stay: the engine knows no others. */
async function loadEngine() {
  const { window } = new JSDOM('', { url: 'http://localhost/' });
  for (const name of DOM_NAMES) globalThis[name] ??= window[name];
  globalThis.window ??= window;
  globalThis.__dirname ??= '/';
  return import('@getodk/xforms-engine');
}

const engine = await loadEngine();
const forms = new Map();

function load(xform, media) {
  if (!forms.has(xform)) forms.set(xform, parse(xform, media));
  return forms.get(xform);
}

async function parse(xform, media) {
  const form = await engine.loadForm(await readFile(xform, 'utf8'), {
    fetchFormAttachment: (url) => attachment(media, String(url).split('/').at(-1)),
    missingResourceBehavior: 'ERROR',
  });
  if (form.status === 'failure') throw form.error;
  return form;
}

async function attachment(media, name) {
  if (!(name in media)) throw new Error(`attached file missing: ${name}`);
  const type = name.endsWith('.csv') ? 'text/csv' : 'application/xml';
  return new Response(await readFile(media[name]), { headers: { 'content-type': type } });
}

/** What Walk asks of a question. */
class Question {
  constructor(node) {
    this.node = node;
    this.name = node.definition.nodeset?.split('/').at(-1) ?? node.definition.qualifiedName?.localName;
  }

  get state() { return this.node.currentState; }
  get kind() { return this.node.nodeType; }
  get relevant() { return this.state.relevant; }
  get readonly() { return this.kind === 'note' || this.state.readonly; }
  get required() { return Boolean(this.state.required); }
  get label() { return text(this.state.label); }
  get hint() { return text(this.state.hint); }

  get choices() {
    const options = this.state.valueOptions;
    return Array.isArray(options) ? options.map((option) => [option.value, text(option.label)]) : [];
  }

  /** What the question holds, to be put back when an answer is refused. */
  get held() { return this.state.value; }
  set held(value) { this.#set(value); }

  answer(value) { this.#set(value); }

  #set(value) {
    const { node } = this;
    if (this.kind === 'select') node.selectValues(value === null ? [] : [value].flat());
    else if (this.kind === 'rank') node.setValues(value);
    else if (this.kind === 'upload') node.setValue(typeof value === 'string' ? new File(['.'], value) : value);
    else node.setValue(node.valueType === 'time' ? withSeconds(value ?? '') : value ?? '');
  }

  /** Whether the engine could read the answer: it makes an unreadable one an empty one. */
  get empty() {
    const { value } = this.state;
    return value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0);
  }

  async violation() {
    const { violation } = this.node.validationState;
    return violation ? { condition: violation.condition, message: text(violation.message) } : null;
  }
}

/** A page's time field gives seconds; a scenario says `10:30`. */
function withSeconds(time) {
  return /^\d\d:\d\d$/.test(time) ? `${time}:00` : time;
}

function text(range) {
  return range?.asString ?? '';
}

/** The form as Walk sees it: groups and repeats to go into, questions to answer. */
const shape = {
  kind(node) {
    if (node.nodeType.startsWith('repeat-range')) return 'repeat';
    if (node.nodeType === 'group' || node.nodeType === 'root') return 'group';
    return node.nodeType === 'model-value' ? 'hidden' : 'question';
  },
  name: (node) => new Question(node).name,
  relevant: (node) => node.currentState.relevant,
  children: (node) => node.currentState.children,
  entries: (node) => node.currentState.children,
  counted: (node) => node.nodeType === 'repeat-range:controlled',
  add: (node) => node.addInstances(),
  remove: (node) => node.removeInstances(0),
  question: (node) => new Question(node),
};

async function fill({ xform, media, language, answers }) {
  const form = await load(xform, media);
  const { root } = form.createInstance();
  const wanted = root.languages.find((one) => one.language === language);
  if (!wanted) throw new Error(`no such language: ${language}`);
  root.setLanguage(wanted);
  const walk = new Walk(shape, answers);
  await walk.go(root);
  const payload = await root.prepareInstancePayload();
  const record = await payload.data[0].get('xml_submission_file').text();
  if (walk.stoppedAt === null && payload.status !== 'ready') throw new Error(`not ready: ${JSON.stringify(payload.violations.map((one) => one.reference))}`);
  return { visits: walk.visits, unreached: walk.unreached(), stopped_at: walk.stoppedAt, record };
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await fill(JSON.parse(line)).catch((error) => ({ error: String(error.stack ?? error) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
