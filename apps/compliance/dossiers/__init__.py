"""What an auditor asks of a change, gathered once: the page, the PDF and the JSON are drawn from the same structure."""
