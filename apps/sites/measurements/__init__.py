"""What meters and invoices say of a site: electricity, renewable electricity, reused heat, water."""
