"""Things that say how suspicious a payment is."""
