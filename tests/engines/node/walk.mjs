/**
 * Goes through a form question by question as an enumerator does, in whichever engine `shape` describes.
 *
 * The answers of a scenario are question name -> text, list of texts or { tries: […] }; repeat name -> list of such
 * objects, one an entry. A repeat that is not named is walked through once without answers, an empty list removes its entry.
 */
export class Walk {
  visits = [];
  stoppedAt = null;
  #used = new Set();

  constructor(shape, answers) {
    this.shape = shape;
    this.answers = answers;
  }

  async go(root) {
    await this.#children(root, { scope: this.answers, path: '', key: '' });
  }

  /** Answers of the scenario that no question asked for: `members[1]/m_age`. */
  unreached() {
    return [...paths(this.answers, '')].filter((path) => !this.#used.has(path));
  }

  async #children(node, place) {
    for (const child of this.shape.children(node)) {
      if (this.stoppedAt !== null) return;
      if (this.shape.relevant(child)) await this.#one(child, place);
    }
  }

  async #one(node, { scope, path, key }) {
    const name = this.shape.name(node);
    switch (this.shape.kind(node)) {
      case 'group': return this.#children(node, { scope, path: `${path}${name}/`, key });
      case 'repeat': return this.#repeat(node, { scope, path: path + name, key: key + name, name });
      case 'question': return this.#ask(this.shape.question(node), { scope, path: path + name, key: key + name, name });
      default: return undefined;
    }
  }

  async #repeat(node, { scope, path, key, name }) {
    const wanted = scope?.[name];
    this.#used.add(key);
    const count = Array.isArray(wanted) ? wanted.length : 1;
    if (count === 0 && !this.shape.counted(node)) {
      while (this.shape.entries(node).length > 0) await this.shape.remove(node);
      return;
    }
    for (let number = 0; number < this.shape.entries(node).length || (number < count && !this.shape.counted(node)); number += 1) {
      if (number >= this.shape.entries(node).length) await this.shape.add(node);
      const entry = this.shape.entries(node)[number];
      const inside = { scope: wanted?.[number], path: `${path}[${number + 1}]/`, key: `${key}[${number + 1}]/` };
      await this.#children(entry, inside);
      if (this.stoppedAt !== null) return;
    }
  }

  async #ask(question, { scope, path, key, name }) {
    const visit = {
      name, path, label: question.label, hint: question.hint, required: question.required, choices: question.choices, tries: [],
    };
    this.visits.push(visit);
    if (question.readonly) return;
    this.#used.add(key);
    const wanted = scope?.[name] ?? null;
    for (const value of wanted?.tries ?? [wanted]) {
      const one = await attempt(question, value);
      visit.tries.push(one);
      if (one.result === 'ok') return;
    }
    this.stoppedAt = path;
  }
}

/** One answer: a refused one is taken back, as a device that will not go on does. */
async function attempt(question, value) {
  const before = question.held;
  if (value !== null) {
    const offered = new Set(question.choices.map(([name]) => name));
    const absent = offered.size > 0 || question.kind === 'select' ? [value].flat().filter((name) => !offered.has(name)) : [];
    if (absent.length > 0) return { value, result: 'not offered', message: `${absent} not offered; offered: ${[...offered]}` };
    try {
      await question.answer(value);
    } catch (error) {
      question.held = before;
      return { value, result: 'unreadable', message: String(error) };
    }
    if (question.empty && value !== '' && [value].flat().length > 0) {
      question.held = before;
      return { value, result: 'unreadable', message: '' };
    }
  }
  const violation = await question.violation();
  if (violation === null) return { value, result: 'ok', message: '' };
  question.held = before;
  return { value, result: violation.condition, message: violation.message };
}

function* paths(answers, before) {
  for (const [name, value] of Object.entries(answers)) {
    if (Array.isArray(value) && value.some((entry) => entry !== null && typeof entry === 'object')) {
      for (const [index, entry] of value.entries()) yield* paths(entry, `${before}${name}[${index + 1}]/`);
    } else yield before + name;
  }
}
