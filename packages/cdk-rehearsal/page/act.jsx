// Taking part: a form for each thing that the viewer can do as somebody outside the application.
import { useEffect, useState } from "preact/hooks";
import { store, to } from "./store.js";

export function Act() {
  const [forms, setForms] = useState();
  const load = async () => setForms(await store.run("forms"));
  useEffect(() => { load(); }, []);
  const roles = Map.groupBy(forms ?? [], (form) => form.role);
  return (
    <div class="cards">
      <p class="lead">What you do here reaches the application through its real interfaces, and counts in an audit.</p>
      {[...roles].map(([role, each]) => (
        <section class="card" key={role} aria-label={role}>
          <h2>{role}</h2>
          {each.map((form) => <Form key={form.name} form={form} done={load} />)}
        </section>
      ))}
    </div>
  );
}

function Form({ form, done }) {
  const [values, setValues] = useState({});
  const [result, setResult] = useState();
  const [busy, setBusy] = useState(false);
  const send = async (submitted) => {
    submitted.preventDefault();
    setBusy(true);
    const filled = Object.fromEntries(form.fields.map((field) => [field.name, values[field.name] ?? start(field)]));
    setResult(await store.run("act", { name: form.name, values: filled }));
    setBusy(false);
    done();
  };
  return (
    <form onSubmit={send} aria-label={form.name}>
      <h3>{form.name} <small>{form.says}</small></h3>
      <div class="fields">
        {form.fields.map((field) => (
          <label key={field.name}>{field.label}
            <Input field={field} id={`${form.name} ${field.name}`} value={values[field.name] ?? start(field)}
              keep={(event) => setValues((kept) => ({ ...kept, [field.name]: event.target.value }))} />
          </label>
        ))}
        <button type="submit" class="main" disabled={busy} aria-busy={busy}>{busy ? "…" : form.name}</button>
      </div>
      <Outcome result={result} />
    </form>
  );
}

// What a text begins with, if nothing is given: what fits best now.
const start = (field) => field.value || (field.kind === "text" && field.options[0]) || "";

// A field that has the focus keeps its text: what fits best may change while somebody types.
function Input({ field, id, value, keep }) {
  if (field.kind === "choice") {
    return (
      <select value={value} onChange={keep}>
        {field.options.map((option) => <option key={option}>{option}</option>)}
      </select>
    );
  }
  if (field.kind === "lines") return <textarea rows="4" value={value} onFocus={keep} onInput={keep} spellcheck={false} />;
  return (
    <>
      <input type={field.kind} value={value} onFocus={keep} onInput={keep} required autocomplete="off"
        spellcheck={false} list={id} />
      <datalist id={id}>{field.options.map((option) => <option key={option} value={option} />)}</datalist>
    </>
  );
}

function Outcome({ result }) {
  return (
    <div class={result ? `outcome ${result.good ? "good" : "bad"}` : ""} role="status">
      {result && <p>{result.good ? "✓" : "✕"} {result.text} {result.trace && <a href={to("trace", result.trace)}>Follow it</a>}</p>}
      {result?.answer && <pre tabindex="0">{pretty(result.answer)}</pre>}
    </div>
  );
}

function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
