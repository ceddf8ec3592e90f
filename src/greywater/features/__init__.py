"""What was known of a payment at its moment."""
