import { CallPage } from './CallPage';
import { CallsPage } from './CallsPage';

/** `/calls` is the list, `/calls/ID` one call; each is a page of its own, so links, tabs and "back" just work. */
export function CallsApp({ path }: { path: string }) {
  const id = /^\/calls\/([\w-]+)\/?$/.exec(path)?.[1];
  return (
    <div className="page">
      <header className="masthead page-masthead">
        <a className="home" href="/" aria-label="Talk to the agent">
          <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
            <rect width="32" height="32" rx="9" />
            <path d="M8 14v4M13.3 10v12M18.6 7v18M24 13v6" />
          </svg>
        </a>
        <nav aria-label="Pages">
          <a href="/">Talk</a>
          <a href="/calls" aria-current={id === undefined ? 'page' : undefined}>
            Calls
          </a>
        </nav>
      </header>
      <main>{id === undefined ? <CallsPage /> : <CallPage id={id} />}</main>
    </div>
  );
}
