interface Props {
  title: string;
  detail: string;
  onRetry?: () => void;
  retry?: string;
}

/** Why there is nothing to see, and what to do. */
export function Notice({ title, detail, onRetry, retry = 'Try again' }: Props) {
  return (
    <section className="nothing" role="status" data-testid="notice">
      <h2>{title}</h2>
      <p>{detail}</p>
      {onRetry && (
        <button className="primary" type="button" onClick={onRetry}>
          {retry}
        </button>
      )}
    </section>
  );
}
